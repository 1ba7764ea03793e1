"""The verb `serve`: a directory over HTTP until a signal. Imports the service only when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nearfield.core.errors import MissingDependency


def serve(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="The database directory; made if it is missing.", show_default=False)
    ],
    host: Annotated[str, typer.Option(help="Address to listen on; one that is not loopback needs keys.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 8000,
    key_file: Annotated[
        Path | None, typer.Option(help='Keys: lines "read KEY" or "write KEY"; SIGHUP reads it again.', show_default=False)
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain, PEM.", show_default=False)] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key, PEM.", show_default=False)] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="See what another process writes; write nothing.")] = False,
    preload: Annotated[
        list[str] | None, typer.Option(help="Collections to warm before /readyz says yes; all by default.", show_default=False)
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Embedders that requests may name; minilm by default.", show_default=False)
    ] = None,
    reranker: Annotated[
        list[str] | None,
        typer.Option(help="Rerankers that requests may name: NAME=RERANKER or RERANKER; can be repeated.", show_default=False),
    ] = None,
    chat_url: Annotated[
        str | None,
        typer.Option(
            help="An OpenAI-compatible API that answers questions (POST .../ask); its key: NEARFIELD_CHAT_API_KEY.",
            show_default=False,
        ),
    ] = None,
    chat_model: Annotated[str | None, typer.Option(help="The chat model's name there.", show_default=False)] = None,
    backup_dir: Annotated[Path | None, typer.Option(help="Where backups go, by name.", show_default=False)] = None,
    recall_share: Annotated[
        float, typer.Option(help="Share of one core that measuring recall may take; 0: it is not measured.", min=0, max=1)
    ] = 0.02,
    slow_log: Annotated[Path | None, typer.Option(help="File for slow searches, with their plans.", show_default=False)] = None,
    slow: Annotated[float, typer.Option(help="Seconds from which a search is slow; 0 writes every one.", min=0)] = 0.1,
    workers: Annotated[
        int, typer.Option(help="Processes; beyond one, the first writes and the others read and pass writes on.", min=1, max=64)
    ] = 1,
    gpu_memory: Annotated[
        str,
        typer.Option(
            help='Of each card for vectors, such as 20GB; "auto": most of what is free, if a card is there; "none": no card.'
        ),
    ] = "auto",
    memory: Annotated[
        str | None,
        typer.Option(
            help="For segments in memory, such as 16GB; the rest is opened on use; not limited by default.", show_default=False
        ),
    ] = None,
    device: Annotated[str, typer.Option(help='Which cards: "auto", all; or names, such as cuda:0 or cuda:0,cuda:1.')] = "auto",
    spread: Annotated[
        str, typer.Option(help="Over several cards: shard deals rows out, replicate puts all on each.")
    ] = "shard",
    limit: Annotated[
        list[str] | None, typer.Option(help="A limit, such as k=100 or body=1MB; see GET /v1/limits.", show_default=False)
    ] = None,
    traces: Annotated[
        str | None,
        typer.Option(help="OpenTelemetry collector, such as http://127.0.0.1:4318/v1/traces.", show_default=False),
    ] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Serve a directory over HTTP: the API of /openapi.json. SIGTERM finishes what was accepted."""
    try:
        from nearfield.serve import server
        from nearfield.serve.limits import Limits
    except ImportError as error:
        told = "the service needs more packages; run: pip install 'nearfield[serve]'"
        raise MissingDependency(told, field=error.name or "starlette") from error

    options = server.Options(
        directory=directory,
        read_only=read_only,
        host=host,
        port=port,
        tls_cert=tls_cert,
        tls_key=tls_key,
        preload=None if preload is None else tuple(preload),
        models=("minilm",) if model is None else tuple(model),
        rerankers=tuple(reranker or ()),
        chat_url=chat_url,
        chat_model=chat_model,
        backups=backup_dir,
        recall_share=recall_share,
        slow_log=slow_log,
        slow=slow,
        key_file=key_file,
        limits=Limits.parse(limit or ()),
        workers=workers,
        log_level=log_level,
        traces=traces,
        gpu_memory=gpu_memory,
        memory=memory,
        device=device,
        spread=spread,
    )
    raise typer.Exit(server.run(options))
