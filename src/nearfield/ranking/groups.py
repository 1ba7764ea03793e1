"""Hits in groups: the best few of each value of a metadata field. Knows ranked documents; nothing of scores or searches.

A document belongs to the group of its value; one with a list, to the earliest of the groups of its elements, or to a new one
of its first. Strings, numbers and booleans are values. A document whose field is missing, null, empty or an object is a group
of its own, so that nothing is lost to a field that few documents have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nearfield.core.errors import InvalidInput
from nearfield.core.filters import And, Filter, In, Not, Path, Scalar, kind
from nearfield.core.matching import lookup

Key = tuple[str, Scalar]
"""A value with its type, so that True is not 1."""


def path(name: Any) -> Path:
    """The path of a field's name, such as "author.name"; raises InvalidInput."""
    found = tuple(name.split(".")) if isinstance(name, str) else ()
    if not found or not all(found):
        raise InvalidInput("not a field", field="group_by", expected='a metadata key, such as "author.name"', received=name)
    return found


def keys(metadata: Mapping[str, Any], where: Path) -> tuple[Key, ...]:
    """The values that can place a document, in order; empty: it is alone."""
    value = lookup(metadata, where)
    elements = value if isinstance(value, list) else [value]
    return tuple((kind(element), element) for element in elements if kind(element) in ("string", "number", "bool"))


@dataclass(slots=True)
class Group:
    """One group while it is filled: `value` (None: a document alone) and its members' numbers, best first."""

    value: Scalar
    members: list[int] = field(default_factory=list)


class Groups:
    """Groups in the order of their best member.

    Args:
        most: how many there may be.
        size: members of each.
    """

    def __init__(self, most: int, size: int) -> None:
        self.most, self.size = most, size
        self.all: list[Group] = []
        self._by_key: dict[Key, int] = {}

    def add(self, number: int, values: tuple[Key, ...]) -> bool:
        """Puts the next document of a ranking into its group; False if there is none for it, and room for none."""
        at = min((self._by_key[key] for key in values if key in self._by_key), default=-1)
        if at < 0:
            if len(self.all) == self.most:
                return False
            at = len(self.all)
            self.all.append(Group(values[0][1] if values else None))
            if values:
                self._by_key[values[0]] = at
        group = self.all[at]
        if len(group.members) < self.size:
            group.members.append(number)
        return True

    @property
    def full(self) -> bool:
        """Whether there are as many groups as there may be."""
        return len(self.all) == self.most

    def values(self, before: int | None = None) -> tuple[Scalar, ...]:
        """The values of all groups, or of those that came before one."""
        return tuple(g.value for g in self.all[:before] if g.value is not None)

    def beyond(self, where: Path) -> Filter | None:
        """What documents of none of these groups match; None: all do."""
        found = self.values()
        return Not(In(where, found)) if found else None

    def inside(self, number: int, where: Path) -> Filter:
        """What exactly the documents of one group with a value match."""
        own, earlier = In(where, (self.all[number].value,)), self.values(number)
        return And((own, Not(In(where, earlier)))) if earlier else own
