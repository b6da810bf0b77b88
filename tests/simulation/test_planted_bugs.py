"""Bugs planted in the live loop, one at a time: the histories find each, and show it in few steps."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest

from feature_store.contract.erasure import Erasure, encode_erasure
from feature_store.errors import RowVersionError
from feature_store.online.encoding import Progress
from feature_store.online.fence import Checkpoint
from feature_store.online.rows import OnlineRows
from inference.encoders.encoder import Encoder
from streams.live.cache import BuyerCache
from streams.live.calibrating import in_force
from streams.live.leaving import erasing
from streams.live.leaving.erasing import Eraser
from streams.live.loop import ConsumerLoop
from streams.live.swap import champion
from streams.live.tagger import Tagger
from streams.live.takeover import Takeover
from tests.simulation.__main__ import same
from tests.simulation.history import run
from tests.simulation.kafka import SimConsumer
from tests.simulation.shrink import shrink
from tests.simulation.steps import draw

HISTORIES = 1_000
STEPS = 20
OUR_OWN = ("crashed: AttributeError", "crashed: KeyError", "crashed: NameError", "crashed: TypeError")

Plant = Callable[[pytest.MonkeyPatch], None]


def progress_before_the_rows(patch: pytest.MonkeyPatch) -> None:
    """The next offset is committed first, and the rows after it."""
    write = OnlineRows.checkpoint

    def planted(
        self: OnlineRows, number: int, change: Checkpoint, expected: Progress | None, *more: Any
    ) -> None:
        write(self, number, Checkpoint(change.progress), expected, *more)
        write(self, number, change, change.progress)

    patch.setattr(OnlineRows, "checkpoint", planted)


def no_fence(patch: pytest.MonkeyPatch) -> None:
    """Whoever writes last wins."""
    write = OnlineRows.checkpoint

    def planted(self: OnlineRows, number: int, change: Checkpoint, *_fence: Any) -> None:
        write(self, number, change, self.progress(number))

    patch.setattr(OnlineRows, "checkpoint", planted)


def no_seek_after_an_assignment(patch: pytest.MonkeyPatch) -> None:
    """A partition begins where the group committed, whatever the store says."""
    begin = Takeover.begin
    committed: dict[tuple[int, int], int] = {}

    def commit(self: SimConsumer, offsets: Any, asynchronous: bool) -> None:
        committed.update({(id(self._group), one.partition): one.offset for one in offsets})

    def planted(self: Takeover, numbers: list[int]) -> Any:
        group = id(inspect.getclosurevars(self._ends).nonlocals["outside"].group)
        for partition in begin(self, numbers):
            partition.next_offset = max(partition.next_offset, committed.get((group, partition.number), 0))
            yield partition

    patch.setattr(SimConsumer, "commit", commit)
    patch.setattr(Takeover, "begin", planted)


def an_erasure_that_forgets_the_cache(patch: pytest.MonkeyPatch) -> None:
    """The rows go; what is in memory stays."""
    patch.setattr(BuyerCache, "remove", lambda _self, _keys: None)


def a_swap_in_the_middle_of_a_batch(patch: pytest.MonkeyPatch) -> None:
    """The successor answers as soon as it is there, also for what was encoded before."""
    emit, swap = Tagger._emit_changes, ConsumerLoop.swap
    waiting: dict[int, tuple[ConsumerLoop, Encoder]] = {}

    def submitted(self: ConsumerLoop, encoder: Encoder) -> None:
        waiting[id(self.tagger)] = self, encoder

    def planted(self: Tagger, *batch: Any) -> None:
        if id(self) in waiting:
            loop, encoder = waiting.pop(id(self))
            swap(loop, encoder)
            if loop._successor is not None:
                loop._use_successor(loop._successor)
        emit(self, *batch)

    patch.setattr(ConsumerLoop, "swap", submitted)
    patch.setattr(Tagger, "_emit_changes", planted)


def an_unreadable_row_counts_as_none(patch: pytest.MonkeyPatch) -> None:
    """Whose row cannot be read begins anew, so that nothing has to wait."""
    fill = BuyerCache.fill

    def planted(self: BuyerCache, slots: Sequence[int], rows: Sequence[bytes]) -> None:
        for slot, row in zip(slots, rows, strict=True):
            with suppress(RowVersionError):
                fill(self, [slot], [row])

    patch.setattr(BuyerCache, "fill", planted)


def a_calibration_from_when_the_worker_learns_it(patch: pytest.MonkeyPatch) -> None:
    """The newest one is applied to whatever is encoded, also to events that lie before it in the log."""

    def planted(
        partitions: Any, version: str, stores: Any, numbers: Sequence[int], offsets: Sequence[int]
    ) -> Any:
        return in_force(partitions, version, stores, numbers, [2**62] * len(offsets))

    patch.setattr(champion, "in_force", planted)


def a_calibration_that_is_not_in_the_checkpoint(patch: pytest.MonkeyPatch) -> None:
    """It is kept in memory alone: who takes the partition over does not know it."""
    write = OnlineRows.checkpoint

    def planted(self: OnlineRows, number: int, change: Checkpoint, *fence: Any) -> None:
        change.calibrations = {}
        write(self, number, change, *fence)

    patch.setattr(OnlineRows, "checkpoint", planted)


def an_opt_out_is_an_erasure_and_no_more(patch: pytest.MonkeyPatch) -> None:
    """What came before a withdrawal goes; what comes after is folded."""

    def planted(_self: Eraser, _partitions: Any, messages: Sequence[Any]) -> list[Any]:
        return list(messages)

    patch.setattr(Eraser, "_without_opted_out", planted)


def an_opt_out_that_is_not_in_the_checkpoint(patch: pytest.MonkeyPatch) -> None:
    """It is kept in memory alone: who takes the partition over does not know it."""
    write = OnlineRows.checkpoint

    def planted(self: OnlineRows, number: int, change: Checkpoint, *fence: Any) -> None:
        change.opt_outs = {}
        write(self, number, change, *fence)

    patch.setattr(OnlineRows, "checkpoint", planted)


def an_erasure_that_ends_an_opt_out(patch: pytest.MonkeyPatch) -> None:
    """Who is erased after a withdrawal is folded again, as anybody after an erasure."""
    take = erasing.take_consent

    def planted(partition: Any, key: bytes, erasure: Erasure) -> None:
        take(partition, key, erasure)
        if erasure.consent is None:
            partition.unwritten_opt_outs[key] = None

    patch.setattr(erasing, "take_consent", planted)
    patch.setattr(Eraser, "_obey", _obey_without_asking)


def _obey_without_asking(self: Eraser, partitions: Any, asked: Any) -> None:
    for (number, key), erasure in asked.items():
        self._output.send(self._topic, key, encode_erasure(erasure))
        self._pending.add(key, erasure)
        self._forget(partitions[number], key, erasure)


@pytest.mark.parametrize(
    "plant",
    [
        progress_before_the_rows,
        no_fence,
        no_seek_after_an_assignment,
        an_erasure_that_forgets_the_cache,
        a_swap_in_the_middle_of_a_batch,
        an_unreadable_row_counts_as_none,
        a_calibration_from_when_the_worker_learns_it,
        a_calibration_that_is_not_in_the_checkpoint,
        an_opt_out_is_an_erasure_and_no_more,
        an_opt_out_that_is_not_in_the_checkpoint,
        an_erasure_that_ends_an_opt_out,
    ],
)
def test_a_planted_bug_is_found_and_shown_in_few_steps(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    for seed in range(HISTORIES):
        problem = run(draw(seed))
        if problem is not None:
            break
    else:
        pytest.fail(f"not found in {HISTORIES} histories")
    assert not problem.startswith(OUR_OWN), f"the plant is broken, not the live loop: {problem}"
    steps = shrink(draw(seed), lambda fewer: same(run(fewer), problem))
    print(f"found at history {seed}, shown in {len(steps)} steps: {problem[:120]}")
    assert len(steps) <= STEPS, steps
    monkeypatch.undo()
    assert run(steps) is None, "what the bug breaks holds without it"
