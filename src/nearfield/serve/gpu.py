"""How busy the graphics cards are, and how much of their memory is in use. Imports pynvml, as only doctor/outside.py does too.

Where there is no card, no driver, or no pynvml (package nvidia-ml-py, which nearfield[gpu] brings), there is nothing to tell.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import cache
from typing import Any

log = logging.getLogger("nearfield.serve")


@cache
def _cards() -> tuple[Any, tuple[Any, ...]]:
    """The library and a handle of each card, looked for once."""
    try:
        import pynvml
    except ImportError:
        return None, ()
    try:
        pynvml.nvmlInit()
        return pynvml, tuple(pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount()))
    except pynvml.NVMLError as error:
        log.info("no metrics of graphics cards: %s", error)
        return None, ()


def read() -> Iterator[tuple[str, float, int]]:
    """For each card that answers: its number, the share of time in which a kernel ran (0 to 1), bytes in use."""
    nvml, handles = _cards()
    for number, handle in enumerate(handles):
        try:
            busy = nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
            used = int(nvml.nvmlDeviceGetMemoryInfo(handle).used)
        except nvml.NVMLError as error:
            log.debug("card %d does not answer: %s", number, error)
            continue
        yield str(number), busy, used
