"""Promises of the live loop, one story each, in the simulation."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from streams.errors import ConsumerError
from tests.simulation.history import World
from tests.simulation.oracle import differences
from tests.simulation.steps import Step
from tests.simulation.worker import SETTINGS, Outside

FOLDED: Sequence[Step] = [
    ("start", 0),
    ("produce", 1, 5, 1),
    ("produce", 2, 3, 2),
    ("run", 0, 25),
    ("tick", 1_100),
]
"""A worker with work behind it in the store, and work before it in the log."""


def told(*steps: Step, cache_buyers: int = 4) -> World:
    world = World(Outside(2, cache_buyers))
    for step in steps:
        world.take(step)
    return world


def assert_all_is_well(world: World) -> None:
    world.settle()
    assert world.problem is None
    assert differences(world.outside, world.versions) is None
    world.end()
    assert world.problem is None


@pytest.mark.parametrize("share", [0, 50, 100], ids=["nothing sent", "half sent", "all sent"])
def test_a_crash_at_any_call_loses_nothing(share: int) -> None:
    for calls in range(1, 60):
        more: list[Step] = [("produce", 1, 2, 3), ("produce", 3, 3, 4), ("run", 0, calls), ("kill", 0, share)]
        world = told(*FOLDED, *more, ("start", 1))
        assert_all_is_well(world)
    assert calls > 50, "every call of two batches, two checkpoints and a session's end was the last one once"


@pytest.mark.parametrize("heirs", [1, 2])
def test_a_zombie_that_wakes_at_any_call_overwrites_nothing(heirs: int) -> None:
    for calls in range(1, 40):
        steps: list[Step] = [*FOLDED, ("produce", 1, 2, 3), ("run", 0, calls), ("freeze", 0), ("tick", 7_000)]
        for heir in range(1, heirs + 1):
            steps += [("start", heir), ("run", heir, 25), ("produce", heir, 2, 5 + heir), ("run", heir, 13)]
        world = told(*steps, ("thaw", 0), ("run", 0, 25), ("produce", 1, 2, 9))
        assert_all_is_well(world)


@pytest.mark.parametrize("calls", range(1, 30, 2))
def test_a_zombie_of_another_codebook_version_leaves_no_persona_behind(calls: int) -> None:
    world = told(
        *FOLDED, ("produce", 1, 2, 3), ("run", 0, calls), ("freeze", 0), ("tick", 7_000), ("start", 1),
        ("run", 1, 25), ("swap", 2), ("run", 1, 25), ("thaw", 0), ("run", 0, 13),
    )  # fmt: skip
    assert_all_is_well(world)
    rows = world._rows()
    for number in range(2):
        for _, row in rows.all_personas(number):
            assert json.loads(row)["codebook_version"] == "v2"


def test_a_swap_reaches_buyers_without_another_event() -> None:
    world = told(*FOLDED, ("swap", 2), ("run", 0, 8), ("kill", 0, 0), ("start", 1))
    assert_all_is_well(world)
    said = [
        json.loads(r.value_ or b"") for r in world.outside.logs[SETTINGS.assignments_topic].range(0, 0, 99)
    ]
    assert {one["reason"] for one in said if one["codebook_version"] == "v2"} <= {"swap", "session_end"}


def test_a_cache_too_small_for_its_buyers_stays_exact() -> None:
    steps: list[Step] = [("start", 0)]
    for turn in range(12):
        steps += [("produce", turn % 6, 3, turn), ("run", 0, 25), ("tick", 1_100)]
    assert_all_is_well(told(*steps, cache_buyers=1))


def test_a_store_emptied_under_a_running_worker_heals() -> None:
    assert_all_is_well(told(*FOLDED, ("store rolled back",), ("run", 0, 13), ("produce", 1, 1, 4)))


@pytest.mark.parametrize("calls", range(1, 25))
def test_a_store_that_goes_back_at_any_moment_heals(calls: int) -> None:
    world = told(
        *FOLDED, ("produce", 1, 2, 3), ("run", 0, calls), ("store kept",),
        ("produce", 2, 2, 4), ("run", 0, 9), ("store rolled back",),
    )  # fmt: skip
    assert_all_is_well(world)


def test_a_rebalance_that_fails_inside_consume_passes_no_assignment_that_kafka_refused() -> None:
    world = told(
        ("start", 0), ("start", 1), ("run", 1, 13), ("produce", 0, 1, 68846), ("run", 1, 25),
        ("flush fails", 1, "refused"), ("tick", 7_000),
    )  # fmt: skip
    assert_all_is_well(world)


def test_a_store_that_goes_back_while_a_partition_is_taken_over_brings_no_erased_buyer_back() -> None:
    world = told(
        ("start", 1), ("produce", 4, 1, 506073), ("erase", 4, 0), ("run", 1, 8), ("produce", 5, 1, 547070),
        ("run", 1, 11), ("expel", 1), ("run", 1, 5), ("produce", 4, 1, 810618), ("store rolled back",),
    )  # fmt: skip
    assert_all_is_well(world)


@pytest.mark.parametrize("calls", range(1, 30))
def test_a_store_emptied_at_any_call_brings_no_erased_buyer_back(calls: int) -> None:
    world = told(
        *FOLDED, ("erase", 1, 0), ("produce", 1, 1, 7), ("run", 0, 13), ("tick", 1_100), ("run", 0, 9),
        ("expel", 0), ("run", 0, calls), ("store rolled back",), ("produce", 1, 1, 8),
    )  # fmt: skip
    assert_all_is_well(world)


def test_a_stop_while_the_encoder_is_away_loses_nothing() -> None:
    world = told(*FOLDED, ("produce", 1, 3, 3), ("encoder gone", 0), ("run", 0, 5), ("stop", 0), ("start", 1))
    assert_all_is_well(world)


def test_one_bad_record_between_good_ones_costs_one_dead_letter() -> None:
    world = told(*FOLDED, ("produce", 1, 1, 3), ("poison", 0), ("produce", 1, 1, 4), ("run", 0, 13))
    assert_all_is_well(world)
    letters = world.outside.logs[SETTINGS.dead_letters_topic]
    assert sum(len(held) for held in letters.records) == 1


def test_events_sent_twice_and_out_of_order_count_once() -> None:
    steps: list[Step] = [("start", 0)]
    for turn in range(10):
        steps += [
            ("produce", turn % 3, 2, turn),
            ("duplicate", 2),
            ("late", turn % 3, turn),
            ("duplicate", 1),
        ]
        steps += [("run", 0, 9)]
    world = told(*steps)
    assert_all_is_well(world)


def test_a_topic_made_anew_under_a_filled_store_is_refused() -> None:
    world = told(*FOLDED, ("run", 0, 25), ("kill", 0, 0), ("tick", 7_000))
    for number in range(2):
        world.outside.clicks.ends[number], world.outside.clicks.records[number] = 0, {}
    world.take(("start", 1))
    world.take(("run", 1, 25))
    error = world.workers[1].process.ended_with
    assert isinstance(error, ConsumerError)
    assert "it was made anew; empty the store first" in str(error)
