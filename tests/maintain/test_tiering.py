"""The policy of tiers: never over budget whatever it is given, the most asked first, nothing moves for a small difference."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfield.maintain.tiering import STAY, Move, Room, Unit, propose


def unit(number: int, rate: float = 0.0, tier: str = "warm", size: int = 100, **more: object) -> Unit:
    return Unit((1, number), tier, rate, {"float16": [size], "int8": [size // 2]}, 2 * size, **more)  # type: ignore[arg-type]


def apply(units: list[Unit], moves: list[Move], room: Room) -> list[Unit]:
    """Makes the moves one by one; no step may be over budget."""
    now = {u.key: u for u in units}
    for move in moves:
        assert move.key in now
        now[move.key] = replace(now[move.key], tier=move.tier, form=move.form)
        within(list(now.values()), room, units)
    return list(now.values())


def used(units: list[Unit], devices: int) -> tuple[list[int], int]:
    each = [0] * devices
    for u in units:
        if u.tier == "hot":
            for device, need in enumerate(u.hot[u.form or ""]):
                each[device] += need
    return each, sum(u.warm for u in units if u.tier == "warm") + sum(u.beside for u in units if u.form == "index")


def within(units: list[Unit], room: Room, before: list[Unit]) -> None:
    each, memory = used(units, len(room.devices))
    had, had_memory = used(before, len(room.devices))
    assert all(now <= max(most, was) for now, most, was in zip(each, room.devices, had, strict=True))
    if room.memory is not None:
        assert memory <= max(room.memory, had_memory)


TIERS = st.sampled_from(["hot", "warm", "cold"])


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[Unit], Room]:
    devices = draw(st.integers(0, 3))
    units = []
    for number in range(draw(st.integers(0, 8))):
        tier = draw(TIERS) if devices else draw(st.sampled_from(["warm", "cold"]))
        large = [draw(st.integers(2, 400)) for _ in range(draw(st.integers(1, devices)) if devices else 1)]
        hot = {"float16": large, "int8": [x // 2 for x in large]}
        if draw(st.booleans()):
            hot["index"] = [draw(st.integers(1, 100)), *[0] * (len(large) - 1)]
        form = draw(st.sampled_from(sorted(hot))) if tier == "hot" else None
        pin, refused = draw(st.sampled_from([None, None, "hot", "warm", "cold"])), draw(st.booleans())
        rate, beside = draw(st.floats(0, 100)), draw(st.integers(0, 60))
        warm = beside + draw(st.integers(1, 500))
        units.append(Unit((1, number), tier, rate, hot, warm, pin, form, refused, beside))
    memory = draw(st.none() | st.integers(0, 1500))
    return units, Room([draw(st.integers(0, 1000)) for _ in range(devices)], memory)


@settings(max_examples=1000, deadline=None)
@given(situations())
def test_no_step_is_over_budget_and_afterwards_there_is_peace(situation: tuple[list[Unit], Room]) -> None:
    units, room = situation
    after = apply(units, propose(units, room), room)
    each, memory = used(after, len(room.devices))
    assert all(now <= most for now, most in zip(each, room.devices, strict=True))
    assert room.memory is None or memory <= room.memory
    again = propose(after, room)
    assert not propose(apply(after, again, room), room), "it moves to and fro"
    for u in after:
        assert u.pin not in ("warm", "cold") or u.tier != "hot"
        assert u.pin != "cold" or u.tier == "cold"
        assert not (u.refused and u.tier == "hot")


def test_the_most_asked_are_on_the_device_and_the_next_in_memory() -> None:
    units = [unit(1, 5), unit(2, 1), unit(3, 9), unit(4, 0.5)]
    moves = {m.key[1]: m.tier for m in propose(units, Room([100], 200))}
    assert moves == {1: "hot", 3: "hot", 4: "cold"}, "1 and 3 fit as int8, 2 stays in memory"


def test_float16_is_taken_while_the_others_still_fit_as_int8() -> None:
    units = [unit(1, 5), unit(2, 1)]
    assert {m.key[1]: m.form for m in propose(units, Room([200]))} == {1: "float16", 2: "float16"}
    assert {m.key[1]: m.form for m in propose(units, Room([150]))} == {1: "float16", 2: "int8"}
    assert {m.key[1]: m.form for m in propose(units, Room([120]))} == {1: "int8", 2: "int8"}
    assert {m.key[1]: m.form for m in propose(units, Room([60]))} == {1: "int8"}


def test_an_index_goes_where_vectors_do_not_fit() -> None:
    large = Unit((1, 1), "warm", 5.0, {"float16": [100], "int8": [50], "index": [10]}, 200)
    assert propose([large], Room([40])) == [Move((1, 1), "hot", "index")]
    assert propose([large], Room([50])) == [Move((1, 1), "hot", "int8")]
    there = replace(large, tier="hot", form="index")
    assert not propose([there], Room([40]))
    assert propose([there], Room([9])) != [], "it goes when it has no room"


def test_a_small_difference_moves_nothing_and_a_large_one_does() -> None:
    there, other = unit(1, 1.0, "hot", form="float16"), unit(2, STAY * 0.99)
    assert propose([there, other], Room([100 - 1])) == [Move((1, 1), "hot", "int8")], "only the type changes"
    there = unit(1, 1.0, "hot", form="int8")
    assert not propose([there, other], Room([60]))
    moves = propose([there, replace(other, rate=STAY * 1.01)], Room([60]))
    assert moves == [Move((1, 1), "warm"), Move((1, 2), "hot", "int8")], "room is made first"
    stays = unit(3, 0.0, "hot", form="float16")
    assert not propose([stays], Room([100])), "what nobody asks stays where nobody else wants the room"


def test_pins_come_first_and_forbid() -> None:
    units = [unit(1, 100), unit(2, 0, pin="hot"), unit(3, 100, pin="cold"), unit(4, 100, pin="warm")]
    moves = {m.key[1]: m.tier for m in propose(units, Room([50], 200))}
    assert moves == {2: "hot", 3: "cold", 1: "cold"}


@pytest.mark.parametrize("seed", range(3))
def test_rates_that_waver_do_not_move_anything(seed: int) -> None:
    rng = np.random.default_rng(seed)
    room = Room([250], 500)
    units = [unit(i, 10.0 / (i + 1)) for i in range(8)]
    units = apply(units, propose(units, room), room)
    units = apply(units, propose(units, room), room)
    moves = 0
    for _ in range(50):
        units = [replace(u, rate=10.0 / (u.key[1] + 1) * rng.uniform(0.9, 1.1)) for u in units]
        made = propose(units, room)
        units = apply(units, made, room)
        moves += len(made)
    assert moves == 0
