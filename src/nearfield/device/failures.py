"""What a device may answer with instead of a result; whoever gets one goes another way. Never seen by users.

DeviceFull   no room, however little is asked at a time: something may be moved out, and it may be tried again
DeviceLost   it does not work any more in this process: a CUDA context does not come back
"""

from __future__ import annotations

import contextlib

from nearfield.device import _torch


class DeviceFull(Exception):
    """The device has no room for what was asked."""


class DeviceLost(Exception):
    """A device does not work any more in this process; `device`: which, empty where that is not known."""

    def __init__(self, message: str, device: str = "") -> None:
        super().__init__(message)
        self.device = device


class at_work:
    """Work on a device: PyTorch's errors there come out as DeviceFull and DeviceLost; others pass.

    The card is the current one meanwhile, and no autocast of the caller's halves the numbers.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._inside = contextlib.ExitStack()

    def __enter__(self) -> None:
        torch = _torch.torch()
        kind = self._device.partition(":")[0]
        self._inside.enter_context(torch.no_grad())
        self._inside.enter_context(torch.autocast(kind, enabled=False))
        if kind == "cuda":
            self._inside.enter_context(torch.cuda.device(self._device))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        with contextlib.suppress(RuntimeError):  # of a card that is lost
            self._inside.close()
        if error is None or isinstance(error, (DeviceFull, DeviceLost)):
            return
        if _torch.out_of_memory(error):
            raise DeviceFull(_first_line(error)) from error
        if _torch.lost(error):
            raise DeviceLost(_first_line(error), self._device) from error


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
