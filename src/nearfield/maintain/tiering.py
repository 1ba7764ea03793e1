"""Decides where segments should be kept, from measured use and bytes alone. Knows no device, no file, no clock; moves nothing.

On devices go the segments that are asked the most: as float16 while the others that are asked still fit as int8, then as int8,
then by their index alone; in memory the next; the rest stays in its files. A segment stays where it is unless another is asked
`STAY` times as often: a place that changed hands at every difference would be filled without end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from nearfield.core.types import Tier

STAY = 1.5
"""How much more often a segment must be asked than one that it would push out."""
LEAST_RATE = 1 / 60
"""Queries a second from which a segment is worth a device."""
ROOM_TO_GROW = 1.1
"""An int8 copy is replaced by a float16 one only where so much more room is left than that takes."""

Form = Literal["float16", "int8", "index"]
"""What a device holds of a segment: its vectors as codes, which are scanned exactly, or its index, which is smaller."""
Key = tuple[int, int]
"""Collection number and segment number."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One segment in numbers.

    Attributes:
        key: whose it is.
        tier: where it is now.
        rate: queries a second, lately.
        hot: for each form that a device can hold the bytes on each device.
        warm: bytes of memory: vectors, and the index once it has been touched.
        beside: bytes of memory that it takes while its index is on a device: that of the processor stays.
        pin: the tier that its collection is pinned to, or None.
        form: which it has, where it is hot.
        refused: whether a device refused it lately.
    """

    key: Key
    tier: Tier
    rate: float
    hot: Mapping[Form, Sequence[int]]
    warm: int
    pin: str | None = None
    form: Form | None = None
    refused: bool = False
    beside: int = 0


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes that there are.

    Attributes:
        devices: of each device, for codes; empty: there is none.
        memory: for warm segments; None: not limited.
    """

    devices: Sequence[int] = ()
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """One segment to another tier, or on a device to another form."""

    key: Key
    tier: Tier
    form: Form | None = None
    reason: str = field(default="", compare=False)


def propose(units: Sequence[Unit], room: Room) -> list[Move]:
    """The moves to make, in an order in which none is ever over budget: what gives room comes first."""
    hot = _hot(units, room)
    beside = sum(unit.beside for unit in units if hot.get(unit.key) == "index")
    memory = None if room.memory is None else room.memory - beside
    warm = _warm([unit for unit in units if unit.key not in hot], memory)
    moves: list[tuple[int, Move]] = []
    for unit in units:
        form = hot.get(unit.key)
        tier: Tier = "hot" if form else "warm" if unit.key in warm else "cold"
        if (tier, form) == (unit.tier, unit.form if unit.tier == "hot" else None):
            continue
        move = Move(unit.key, tier, form, _why(unit, tier))
        if unit.tier == "hot" and (_mixed(unit, form) or (room.memory is not None and (tier == "warm" or form == "index"))):
            moves.append((LEAVES, Move(unit.key, "cold", None, move.reason)))
        moves.append((_turn(unit, move, room), move))
    return [move for _, move in sorted(moves, key=lambda item: item[0])]


LEAVES, SHRINKS, ENTERS, ENTERS_FROM_MEMORY, ENTERS_AS_INDEX, WARMS = range(6)
"""The turns of moves. Codes on a device free the memory of what was warm, an index there takes some, less than it had if it was
warm; what goes from a device to memory goes by way of its file, so that nothing waits for room that waits for it."""


def _turn(unit: Unit, move: Move, room: Room) -> int:
    """When a move is made."""
    if move.tier == "cold" or (move.tier == "warm" and unit.tier == "hot" and room.memory is None):
        return LEAVES
    if move.tier == "warm":
        return WARMS
    if move.form == "index" and room.memory is not None:
        return ENTERS_FROM_MEMORY if unit.tier == "warm" else ENTERS_AS_INDEX
    return SHRINKS if unit.tier == "hot" and _fits(*_change(unit, move.form)) else ENTERS


def _change(unit: Unit, form: Form | None) -> tuple[Sequence[int], Sequence[int]]:
    """Bytes on each device in another form, and in the one that a hot unit has."""
    new, old = (() if one is None else unit.hot.get(one, ()) for one in (form, unit.form))
    devices = max(len(new), len(old))
    return _padded(new, devices), _padded(old, devices)


def _mixed(unit: Unit, form: Form | None) -> bool:
    """Whether another form of a hot unit takes more of one device and less of another."""
    new, old = _change(unit, form)
    return form is not None and not _fits(new, old) and not _fits(old, new)


def _hot(units: Sequence[Unit], room: Room) -> dict[Key, Form]:
    """What should be on the devices, and in which form."""
    if not room.devices:
        return {}
    wanted = [unit for unit in units if _may_be_hot(unit)]
    wanted.sort(key=lambda unit: (unit.pin != "hot", -unit.rate * (STAY if unit.tier == "hot" else 1), unit.key))
    left, memory = list(room.devices), room.memory
    chosen: dict[Key, Form] = {}
    rest = [sum(column) for column in zip(*(_padded(unit.hot["int8"], len(left)) for unit in wanted), strict=True)]
    for unit in wanted:
        small, large = _padded(unit.hot["int8"], len(left)), _padded(unit.hot["float16"], len(left))
        rest = [total - own for total, own in zip(rest, small, strict=True)]
        spare = ROOM_TO_GROW if unit.tier == "hot" and unit.form != "float16" else 1.0
        if all(spare * need + others <= there for need, others, there in zip(large, rest, left, strict=True)):
            chosen[unit.key], taken = "float16", large
        elif _fits(small, left):
            chosen[unit.key], taken = "int8", small
        elif "index" in unit.hot and _fits(least := _padded(unit.hot["index"], len(left)), left):
            if memory is not None:
                if unit.beside > memory:
                    continue
                memory -= unit.beside
            chosen[unit.key], taken = "index", least
        else:
            continue
        left = [there - need for there, need in zip(left, taken, strict=True)]
    return chosen


def _fits(need: Sequence[int], left: Sequence[int]) -> bool:
    return all(own <= there for own, there in zip(need, left, strict=True))


def _may_be_hot(unit: Unit) -> bool:
    """Whether a device is worth its bytes: what is there stays while nobody else wants the room."""
    if unit.pin is not None:
        return unit.pin == "hot" and not unit.refused
    return not unit.refused and (unit.tier == "hot" or unit.rate >= LEAST_RATE)


def _padded(each: Sequence[int], devices: int) -> list[int]:
    """Bytes for each device; 0 for devices that a small segment does not reach."""
    return [*each, *[0] * (devices - len(each))]


def _warm(units: Sequence[Unit], memory: int | None) -> set[Key]:
    """What should be in memory, of what is on no device."""
    wanted = [unit for unit in units if unit.pin != "cold"]
    if memory is None:
        return {unit.key for unit in wanted}
    wanted.sort(key=lambda unit: (unit.pin is None, -unit.rate * (STAY if unit.tier != "cold" else 1), unit.key))
    left, chosen = memory, set()
    for unit in wanted:
        if unit.warm <= left:
            left -= unit.warm
            chosen.add(unit.key)
    return chosen


def _why(unit: Unit, tier: Tier) -> str:
    if unit.pin is not None:
        return f"the collection is pinned to {unit.pin}" + ("" if unit.pin == tier else ", which has no room")
    if tier == "hot" and unit.tier == "hot":
        return "another form of it fits what room there is"
    if tier == "hot":
        return f"asked {unit.rate:.2g} times a second"
    if unit.tier == "hot":
        return "others are asked more often"
    return "memory has no room beside what is asked more" if tier == "cold" else f"asked {unit.rate:.2g} times a second"
