"""A store of release 0.1.0 under the present worker, simulated: no crash on the way loses anything."""

from __future__ import annotations

import struct

import pytest

from feature_store.fold.behavior import COUNTER, REMEMBERED_IDS
from feature_store.online.migrations import ROW_VERSION
from tests.simulation.history import World
from tests.simulation.oracle import differences
from tests.simulation.steps import Step
from tests.simulation.worker import Outside


def _as_of_0_1_0(world: World) -> None:
    """Put the store of a stopped world back into the form of release 0.1.0."""
    data = world.outside.server.data
    for name, value in data.items():
        if b"}:state:" in name:
            data[name] = b"\x01\x00" + _without_what_came_later(value[2:])
        elif name.endswith(b"}:progress"):
            data[name] = b" ".join(value.split()[:3])


def _without_what_came_later(row: bytes) -> bytes:
    """A row of version 3, without a forecast, blocks, its 17 counters more, its last acts and its orders."""
    counters = 26 + 8 * 26
    bitmaps = counters + 8 * 17
    held = bitmaps + 8 * 5
    (events,) = struct.unpack_from("<q", row, 26 + 8 * COUNTER["events"])
    ring = held + 8 + 8 * min(events, REMEMBERED_IDS)
    follows = int.from_bytes(row[held : held + 8], "little")
    acts, entries = follows >> 56, follows >> 16 & (1 << 40) - 1
    rest = row[held + 8 : ring] + row[ring + 8 * acts + 16 * entries :]
    return row[:24] + row[26:counters] + row[bitmaps:held] + rest


@pytest.mark.parametrize("share", [0, 100], ids=["nothing sent", "all sent"])
def test_an_upgrade_that_dies_at_any_call_loses_nothing(share: int) -> None:
    before: list[Step] = [
        ("start", 0), ("produce", 1, 5, 1), ("produce", 2, 3, 2), ("run", 0, 25), ("tick", 1_100),
        ("run", 0, 25), ("kill", 0, 100), ("tick", 7_000), ("produce", 1, 2, 3), ("produce", 3, 2, 4),
    ]  # fmt: skip
    for calls in range(1, 45):
        world = World(Outside(2, 4), has_orders=False)
        for step in before:
            world.take(step)
        assert not world.workers[0].process.alive
        _as_of_0_1_0(world)
        after: list[Step] = [("start", 1), ("run", 1, calls), ("kill", 1, share), ("start", 2)]
        for step in after:
            world.take(step)
        world.settle()
        assert world.problem is None
        assert differences(world.outside, world.versions) is None
        world.end()
        assert world.problem is None


def test_a_partition_without_news_is_claimed_too() -> None:
    world = World(Outside(2, 4), has_orders=False)
    before: list[Step] = [
        ("start", 0),
        ("produce", 1, 5, 1),
        ("run", 0, 60),
        ("kill", 0, 100),
        ("tick", 7_000),
    ]
    for step in before:
        world.take(step)
    _as_of_0_1_0(world)
    rows = world._rows()
    old = {n: at for n, at in rows.progress_of([0, 1]).items() if at is not None}
    assert {at.row_version for at in old.values()} == {1}
    world.take(("start", 1))
    world.take(("run", 1, 40))
    for number, at in old.items():
        claimed = rows.progress(number)
        assert claimed is not None
        assert claimed[:2] == at[:2]
        assert claimed.row_version == ROW_VERSION
        assert claimed.sequence > at.sequence
    world.end()
