"""Whether every document in parts is whole: all of its rows there, each once, and none without its first. Changes nothing."""

from __future__ import annotations

from nearfield.core import parts
from nearfield.engine import rows
from nearfield.engine.snapshot import Snapshot

SHOWN = 20
"""Documents that are named; the rest are counted."""


def problems(snapshot: Snapshot) -> tuple[list[str], int]:
    """One line for each thing that is wrong, and how many documents there are."""
    wanted: dict[str, int] = {}
    found: dict[str, int] = {}
    out = []
    for row in rows.scan(snapshot, None, 1000, False):
        of, part = row.metadata.get(parts.OF), row.metadata.get(parts.PART)
        if not isinstance(of, str) or not isinstance(part, int) or parts.row_id(of, part) != row.id:
            out.append(f"the row {row.id!r} does not say which document it is a part of")
            continue
        found[of] = found.get(of, 0) + 1
        if part == 0:
            wanted[of] = int(row.metadata.get(parts.PARTS, 1))
    broken = [name for name, count in found.items() if wanted.get(name) != count]
    out += [f"the document {name!r} has {found[name]} of {wanted.get(name, 'unknown')} parts" for name in broken[:SHOWN]]
    if len(broken) > SHOWN:
        out.append(f"{len(broken) - SHOWN:,} more documents are not whole")
    return out, len(wanted)
