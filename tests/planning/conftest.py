"""A machine with round rates: no test here looks at a clock."""

import pytest

from nearfield.planning.machine import Machine

FIXED = Machine("a test", 4, 5e-8, 1e10, 1e10, 1e10, 1e10, 1e10, 2e9, 4e9, 2e9, 5e-8, 1.0, 5e10)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Plans are made for a fixed machine."""
    monkeypatch.setattr("nearfield.planning.plan.this_machine", lambda refresh=False: FIXED)
    return FIXED
