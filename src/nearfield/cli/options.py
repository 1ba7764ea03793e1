"""Arguments and options that several verbs share, each said once, and how errors become exit codes."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nearfield.cli import show
from nearfield.core.errors import InvalidInput, NearfieldError

if TYPE_CHECKING:
    from nearfield.core.fuse import Fusion

DONE, NO, MISUSE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: done; the data, the disk or another process says no; bad use; stopped by Ctrl-C."""

Target = Annotated[
    str, typer.Argument(metavar="DIR/COLLECTION", help="The database's directory and a collection in it.", show_default=False)
]
Anywhere = Annotated[
    str, typer.Argument(metavar="DIR[/COLLECTION]", help="A database's directory, or one collection in it.", show_default=False)
]
Directory = Annotated[str, typer.Argument(metavar="DIR", help="The database's directory.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one value on one line.")]
Where = Annotated[
    str | None,
    typer.Option("--filter", "-f", help="""Metadata filter as JSON, such as '{"year": {"$gte": 1990}}'.""", show_default=False),
]

Fuse = Annotated[
    str | None,
    typer.Option(
        "--fusion",
        help="How hybrid puts both sides together: scores or ranks; with parameters: scores:weight=0.4,depth=200 [scores].",
        show_default=False,
    ),
]


def parse_fusion(value: str | None) -> Fusion | None:
    """The fusion of a --fusion option: METHOD, or METHOD:key=value,..."""
    from nearfield.core.fuse import Fusion

    if value is None:
        return None
    method, _, rest = value.partition(":")
    kinds: dict[str, Callable[[str], Any]] = {"weight": float, "depth": int, "constant": float}
    given: dict[str, Any] = {}
    for pair in filter(None, rest.split(",")):
        key, _, number = pair.partition("=")
        try:
            given[key] = kinds[key](number)
        except (KeyError, ValueError):
            expected = "weight=, depth= or constant= and a number"
            raise InvalidInput("not a parameter", field="--fusion", expected=expected, received=pair) from None
    return Fusion(method, **given)


def parse_filter(value: str | None) -> dict[str, Any] | None:
    """The filter of a --filter option."""
    if value is None:
        return None
    found = parse_json(value, "--filter")
    if not isinstance(found, dict):
        raise InvalidInput("not a filter", field="--filter", expected="a JSON object", received=value)
    return found


def parse_json(value: str, field: str) -> Any:
    """A JSON value from the command line."""
    try:
        return json.loads(value)
    except ValueError as error:
        raise InvalidInput(f"not JSON ({error})", field=field, received=value) from None


def guarded(verb: Callable[..., None]) -> Callable[..., None]:
    """The verb, with errors printed on one line of standard error and turned into exit codes."""

    @functools.wraps(verb)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            verb(*args, **kwargs)
        except NearfieldError as error:
            show.note(f"nearfield: {error}")
            raise typer.Exit(MISUSE if isinstance(error, InvalidInput) else NO) from None
        except KeyboardInterrupt:
            show.note("nearfield: interrupted; what was acknowledged is safe")
            raise typer.Exit(INTERRUPTED) from None
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            show.note(f"nearfield: {error.filename or ''}: {error.strerror or error}")
            raise typer.Exit(NO) from None

    return run
