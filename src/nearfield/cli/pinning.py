"""The verb `pin`: in which tier a collection is kept. Moves nothing: who opens the database next does."""

from __future__ import annotations

from typing import Annotated

import typer

from nearfield.cli import options, place, show
from nearfield.core import inputs
from nearfield.core.errors import Locked


def pin(
    target: options.Target,
    tier: Annotated[str, typer.Argument(metavar="TIER", help="hot, warm, cold or none.", show_default=False)],
    json: options.Json = False,
) -> None:
    """Keep a collection hot (on a card), warm (in memory) or cold (in files); none: as it is asked. For who serves it next.

    A server that runs is told over HTTP: POST /v1/collections/NAME/pin.
    """
    inputs.choice(tier, ("hot", "warm", "cold", "none"), "TIER")
    wanted = None if tier == "none" else tier
    try:
        with place.collection(target, write=True) as collection:
            collection.pin(wanted, now=False)
    except Locked as error:
        found = place.split(target)
        body = '{"tier": null}' if wanted is None else f'{{"tier": "{wanted}"}}'
        error.message = (
            f"another process has {found.directory} open; if it is a server, ask it: "
            f"POST /v1/collections/{found.collection}/pin with {body}"
        )
        raise
    if json:
        show.as_json({"pin": wanted})
        return
    show.line(f"pinned to {tier}, from when it is next opened" if wanted else "not pinned: it is kept as it is asked")
