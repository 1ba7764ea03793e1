"""What is known of the world outside, read when it is first asked for. Knows no verdict."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from nearfield.doctor.driver import Driver
from nearfield.doctor.driver import read as read_driver
from nearfield.doctor.libraries import Card, Libraries, decode
from nearfield.doctor.machine import Machine
from nearfield.doctor.machine import read as read_machine
from nearfield.doctor.outside import Outside
from nearfield.doctor.packages import MODEL_PACKAGES, Installed
from nearfield.doctor.packages import read as read_packages
from nearfield.doctor.trials import Outcome, Trials

PAIR = ("faiss", "torch")
Orders = Mapping[tuple[str, ...], Outcome]
"""How libraries did that were imported into one process, in each order tried."""


class Facts:
    """What is known of the world outside: read when it is first asked for, and once.

    Close it when done: it holds the processes that try things.
    """

    def __init__(self, outside: Outside) -> None:
        self.outside, self.environ = outside, outside.environ
        self.trials = Trials(outside)

    @cached_property
    def machine(self) -> Machine:
        """The machine."""
        return read_machine(self.outside)

    @cached_property
    def installed(self) -> Installed:
        """What is installed."""
        return read_packages(self.outside)

    @cached_property
    def driver(self) -> Driver:
        """NVIDIA's driver and cards."""
        return read_driver(self.outside)

    @cached_property
    def pairs(self) -> Orders:
        """How FAISS and torch did in one process, in each order, or alone where the other is not there."""
        there = tuple(name for name in PAIR if self.installed.has(name))
        orders = [there, there[::-1]] if len(there) > 1 else [there] if there else []
        for order in orders:
            self.trials.begin("libraries", *order)
        if self.installed.has("faiss"):
            self.trials.begin("recall")
            if self.can_embed:
                self.trials.begin("embedding")
        return {order: self.trials.ended("libraries", *order) for order in orders}

    @cached_property
    def alone(self) -> dict[str, Outcome]:
        """How each did alone, if an order failed: it shows which of them is broken."""
        if len(self.pairs) < 2 or not any(found.problem for found in self.pairs.values()):
            return {}
        for name in PAIR:
            self.trials.begin("libraries", name)
        return {name: self.trials.ended("libraries", name) for name in PAIR}

    @cached_property
    def libraries(self) -> Libraries:
        """What FAISS and torch say of themselves: from a process with both, or from one for each."""
        told = [decode(found.result) for found in [*self.pairs.values(), *self.alone.values()] if not found.problem]
        first = told[0] if told else Libraries()
        return Libraries(
            next((one.torch for one in told if one.torch is not None), None),
            next((one.faiss for one in told if one.faiss is not None), None),
            first.numpy,
            first.openmp,
        )

    @property
    def can_embed(self) -> bool:
        """Whether all that the default model needs is there."""
        return all(name in self.installed.versions for name in MODEL_PACKAGES) and self.installed.model is not None

    @property
    def cards(self) -> tuple[Card, ...]:
        """The cards that torch sees, or else those that the driver serves."""
        torch = self.libraries.torch
        return torch.cards if torch is not None and torch.cards else self.driver.cards

    def close(self) -> None:
        """Ends the processes' queue."""
        self.trials.close()


__all__ = ["Facts", "Orders"]
