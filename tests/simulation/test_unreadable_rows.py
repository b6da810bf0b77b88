"""A row that cannot be read is its partition's trouble alone, and only until it is mended."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from structlog.testing import CapturingLogger

from streams.live.unreadable_rows import holds
from tests.simulation.history import World, _buyer
from tests.simulation.oracle import differences
from tests.simulation.steps import Step
from tests.simulation.worker import METRICS, Outside

FOLDED: Sequence[Step] = [
    ("start", 0),
    *(("produce", buyer, 2, buyer) for buyer in range(6)),
    ("run", 0, 60),
    ("tick", 1_100),
    ("run", 0, 25),
    ("kill", 0, 100),
    ("tick", 7_000),
    ("start", 1),
    ("run", 1, 25),
]
"""A worker that has taken over what another had folded, with nobody in its cache."""


def world_after(*steps: Step) -> World:
    world = World(Outside(2, 4))
    for step in (*FOLDED, *steps):
        world.take(step)
    return world


def work(world: World, worker: int, seconds: int = 1) -> None:
    """Let a worker do what there is to do, and time go by."""
    for _ in range(seconds):
        world.workers[worker].consumer.idle = 0
        world.take(("run", worker, 60))
        world.take(("tick", 1_100))


def folded(world: World) -> dict[int, int]:
    return {
        number: at.next_offset if at is not None else 0
        for number, at in world._rows().progress_of([0, 1]).items()
    }


def partition_of_buyer(world: World, buyer: int) -> int:
    key = f"acme|{_buyer(buyer)}".encode()
    rows = world._rows()
    return next(n for n in (0, 1) for found, _ in rows.all_states(n) if found == key)


def others(world: World, number: int) -> list[int]:
    """Buyers of the other partition."""
    return [buyer for buyer in range(6) if partition_of_buyer(world, buyer) != number]


DAMAGES = {"state row": ("row damaged", 0), "progress row": ("progress damaged", 0)}


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_other_partitions_go_on_and_a_mended_row_lets_its_own_go_on(
    damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = CapturingLogger()
    monkeypatch.setattr(holds, "log", log)
    world = world_after()
    number = partition_of_buyer(world, 0) if damage == "state row" else 0
    before, ends = folded(world), world.outside.clicks.ends
    world.take(DAMAGES[damage])
    if damage == "progress row":
        world.take(("expel", 1))
    world.take(("produce", 0, 2, 7))
    for buyer in others(world, number):
        world.take(("produce", buyer, 2, buyer))
    work(world, 1, 4)
    assert world.problem is None
    held = [call.kwargs for call in log.calls if call.args == ("partition_held",)]
    assert {entry["partition"] for entry in held} == {number}
    if damage == "state row":
        assert {(entry["store"], entry["offset"]) for entry in held} == {("acme", before[number])}
        assert _buyer(0) not in str(held), "a log names nobody"
    assert len(held) >= 2, "it was looked at again"
    assert METRICS.held._value.get() == 1
    assert world.workers[1].loop.partitions.keys() == {1 - number}
    assert world._rows().progress(1 - number).next_offset == ends[1 - number]  # type: ignore[union-attr]
    world.take(("rows mended",))
    world.settle()
    assert world.problem is None
    assert folded(world) == dict(enumerate(ends))
    assert differences(world.outside, world.versions) is None
    assert METRICS.held._value.get() == 0
    world.end()
    assert world.problem is None


def test_a_held_partition_that_another_worker_takes_over_is_held_there() -> None:
    world = world_after(("row damaged", 0), ("produce", 0, 1, 7))
    work(world, 1)
    number = partition_of_buyer(world, 0)
    assert number not in world.workers[1].loop.partitions
    world.take(("kill", 1, 0))
    world.take(("tick", 7_000))
    world.take(("start", 2))
    work(world, 2, 2)
    assert world.workers[2].loop.partitions.keys() == {1 - number}
    world.settle()
    assert world.problem is None
    assert differences(world.outside, world.versions) is None
    world.end()


def test_an_erasure_mends_the_row_of_its_buyer() -> None:
    world = world_after(("row damaged", 0), ("produce", 0, 1, 7))
    work(world, 1)
    assert len(world.workers[1].loop.partitions) == 1
    world.take(("erase", 0, 1))
    key = f"acme|{_buyer(0)}".encode()
    number = partition_of_buyer(world, 0)
    work(world, 1, 12)
    assert number in world.workers[1].loop.partitions
    assert all(found != key for found, _ in world._rows().all_states(number))
    world.settle()
    assert world.problem is None
    assert differences(world.outside, world.versions) is None
    world.end()
