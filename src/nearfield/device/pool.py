"""The bytes of devices that may be used, and who holds how many: nothing is put on a device without them. Knows no vectors."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nearfield.device import layout


@dataclass(frozen=True, slots=True)
class DeviceUse:
    """One device in numbers; bytes.

    Attributes:
        device: its name.
        budget: that may be used of it, workspace included.
        reserved: that are held now, workspace included; never above the budget.
        lost: why it is not used any more; None while it works.
    """

    device: str
    budget: int
    reserved: int
    lost: str | None


class Pool:
    """Budgets of some devices; safe to use from many threads.

    Args:
        budgets: for each device the bytes that may be used of it; a part is kept as workspace, see layout.workspace;
            what works in it holds the device's lock of `locks`.
    """

    def __init__(self, budgets: Mapping[str, int]) -> None:
        self._budgets = dict(budgets)
        self.workspace = {device: layout.workspace(budget) for device, budget in budgets.items()}
        self.locks = {device: threading.Lock() for device in budgets}
        self._reserved = dict(self.workspace)
        self._lost: dict[str, str] = {}
        self._lock = threading.Lock()

    @property
    def devices(self) -> tuple[str, ...]:
        """Those that work, in the order given."""
        with self._lock:
            return tuple(device for device in self._budgets if device not in self._lost)

    def room(self, device: str) -> int:
        """Bytes that are not reserved; 0 on a lost device."""
        with self._lock:
            return 0 if device in self._lost else self._budgets[device] - self._reserved[device]

    def reserve(self, wanted: Mapping[str, int]) -> bool:
        """Reserves bytes on several devices, all or nothing; False where one has not room or is lost."""
        with self._lock:
            for device, nbytes in wanted.items():
                if device in self._lost or self._reserved[device] + nbytes > self._budgets[device]:
                    return False
            for device, nbytes in wanted.items():
                self._reserved[device] += nbytes
            return True

    def release(self, held: Mapping[str, int]) -> None:
        """Gives reserved bytes back."""
        with self._lock:
            for device, nbytes in held.items():
                self._reserved[device] = max(self.workspace[device], self._reserved[device] - nbytes)

    def lose(self, devices: Iterable[str], why: str) -> None:
        """Notes that devices do not work any more: nothing is reserved on them again."""
        with self._lock:
            for device in devices:
                if device in self._budgets:
                    self._lost.setdefault(device, why)

    def uses(self) -> tuple[DeviceUse, ...]:
        """All devices in numbers."""
        with self._lock:
            return tuple(
                DeviceUse(device, budget, self._reserved[device], self._lost.get(device))
                for device, budget in self._budgets.items()
            )
