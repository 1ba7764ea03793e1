"""The command `nearfield`: its verbs, its environment variables. Knows no verb's inside.

Every option can also be given as NEARFIELD_<VERB>_<OPTION>, such as NEARFIELD_SEARCH_K=20; a name that means nothing is
an error, as a misspelt option is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import typer

from nearfield.cli import (
    adding,
    asking,
    data,
    demo,
    duplicates,
    evaluating,
    explaining,
    indexes,
    loading,
    ops,
    pinning,
    planning,
    recommending,
    reembedding,
    serving,
    tuning,
)
from nearfield.cli.options import DONE, MISUSE, guarded
from nearfield.core.config import check_keys
from nearfield.core.errors import InvalidInput

PREFIX = "NEARFIELD"
ELSEWHERE = (
    "NEARFIELD_OPENAI_",
    "NEARFIELD_RERANK_",
    "NEARFIELD_CHAT_",
    "NEARFIELD_READ_KEY",
    "NEARFIELD_WRITE_KEY",
    "NEARFIELD_CRASH_",
)
"""How variables begin that are read by other parts: remote models, the service's keys, the crash test, the benchmarks."""

VERBS: dict[str, Callable[..., None]] = {
    "create": data.create,
    "add": adding.add,
    "search": data.search,
    "recommend": recommending.recommend,
    "explain": explaining.explain,
    "ask": asking.ask,
    "eval": evaluating.evaluate,
    "get": data.get,
    "update": data.update,
    "rm": data.rm,
    "count": data.count,
    "ls": data.ls,
    "rename": data.rename,
    "export": data.export,
    "import": data.import_,
    "plan": planning.plan,
    "dedup": duplicates.dedup,
    "tune": tuning.tune,
    "rebuild": indexes.rebuild,
    "reembed": reembedding.reembed,
    "calibrate": indexes.calibrate,
    "record": indexes.record,
    "stats": ops.stats,
    "pin": pinning.pin,
    "optimize": ops.optimize,
    "verify": ops.verify,
    "repair": ops.repair,
    "backup": ops.backup,
    "restore": ops.restore,
    "purge": ops.purge,
    "serve": serving.serve,
    "bench": loading.bench,
    "replay": loading.replay,
    "doctor": ops.doctor,
    "demo": demo.demo,
}


def build() -> typer.Typer:
    """The command with all its verbs."""
    app = typer.Typer(
        name="nearfield",
        epilog="Every option is also an environment variable: NEARFIELD_SEARCH_K=20 is search --k 20. "
        "Exit codes: 0 done, 1 the data or the disk says no, 2 bad use.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for name, verb in VERBS.items():
        app.command(name)(guarded(verb))
    app.callback()(_root)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        import nearfield

        typer.echo(f"nearfield {nearfield.__version__}")
        raise typer.Exit


def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)] = False,
) -> None:
    """Semantic search you can trust: measured recall, durable writes, millisecond answers."""


def check_environment(app: typer.Typer, environment: Mapping[str, str]) -> None:
    """Raises InvalidInput if a NEARFIELD_ variable names no verb's option."""
    command = typer.main.get_command(app)
    known = [f"{PREFIX}_{name}_{p.name}".upper() for name, c in command.commands.items() for p in c.params]  # type: ignore[attr-defined]
    given = {key: value for key, value in environment.items() if key.startswith(f"{PREFIX}_") and not key.startswith(ELSEWHERE)}
    try:
        check_keys(given, tuple(known), "environment")
    except InvalidInput as error:
        error.expected = f"{PREFIX}_<VERB>_<OPTION>, such as {PREFIX}_SEARCH_K"
        raise


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    app = build()
    try:
        check_environment(app, os.environ)
    except InvalidInput as error:
        typer.echo(f"nearfield: {error}", err=True)
        return MISUSE
    try:
        app(args=None if arguments is None else list(arguments), prog_name="nearfield", auto_envvar_prefix=PREFIX)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else DONE
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return DONE
