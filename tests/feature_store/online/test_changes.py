"""When a persona is sent: against what was sent last, whatever the batches."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.online.changes import NOTHING_SENT, REASONS, Changes, as_sent, changes

TELLING = {1, 2, 3, 5, 8, 13, 21, 34}
personas = st.tuples(
    st.integers(0, 2), st.integers(-1, 1), st.integers(0, 2), st.integers(-1, 1), st.integers(0, 2)
)
steps = st.lists(st.tuples(st.integers(0, 2), personas, st.integers(1, 36)), max_size=40)
Step = tuple[int, tuple[int, int, int, int, int], int]


def run(batches: list[list[Step]], version: int = 1, known: int = 1) -> list[Changes]:
    sent = np.tile(np.array(NOTHING_SENT, np.int16), (3, 1))
    versions = np.full(3, known, np.uint32)
    return [
        changes(
            np.array([slot for slot, _, _ in batch], np.int64),
            np.array([now for _, now, _ in batch], np.int16).reshape(len(batch), 5),
            np.array([number for _, _, number in batch], np.int64),
            sent,
            versions,
            np.uint32(version),
        )
        for batch in batches
    ]


@given(steps)
def test_every_change_but_a_slow_code_is_sent(taken: list[Step]) -> None:
    (found,) = run([taken])
    last: dict[int, tuple[int, ...]] = {}
    for (slot, now, number), reason, sent in zip(
        taken, found.reasons.tolist(), found.sent.tolist(), strict=True
    ):
        before = last.get(slot)
        if before is None:
            wanted = "code"
        elif now[1] != before[1]:
            wanted = "type"
        elif now[0] != before[0] and number in TELLING:
            wanted = "code"
        elif now[3] != before[3]:
            wanted = "forecast"
        else:
            wanted = "confidence" if (now[2], now[4]) != (before[2], before[4]) else None
        assert REASONS[reason] == wanted
        if wanted:
            last[slot] = now
        assert tuple(sent) == last[slot]
        assert tuple(sent[1:]) == now[1:], "what is not the code never lags behind"


@given(steps, st.lists(st.integers(0, 40), max_size=5))
def test_any_cut_into_batches_sends_the_same(taken: list[Step], cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(taken)) for cut in cuts), len(taken)]
    parts = run([taken[start:stop] for start, stop in itertools.pairwise(edges)])
    (whole,) = run([taken])
    assert np.concatenate([part.reasons for part in parts]).tolist() == whole.reasons.tolist()
    assert np.concatenate([part.sent for part in parts]).tolist() == whole.sent.tolist()


def test_another_codebook_version_sends_once() -> None:
    step: Step = (0, (1, 0, 2, 0, 2), 4)
    sent = np.array([[1, 0, 2, 0, 2]], np.int16)
    versions = np.array([7], np.uint32)
    one = (np.array([0]), np.array([step[1]], np.int16), np.array([4]))
    assert [REASONS[changes(*one, sent, versions, np.uint32(8)).reasons[0]] for _ in range(2)] == [
        "swap",
        None,
    ]
    assert versions.tolist() == [8]


@pytest.mark.parametrize(
    ("chance", "band"), [(float("nan"), 0), (0.0, 1), (0.199, 1), (0.2, 2), (0.81, 5), (1.0, 5)]
)
def test_probabilities_are_compared_by_bands(chance: float, band: int) -> None:
    one, none = np.array([chance], np.float32), np.array([np.nan], np.float32)
    code = np.array([7])
    assert as_sent(code, code, one, code, none).tolist() == [[7, 7, band, 7, 0]]
    assert as_sent(code, code, none, code, one).tolist() == [[7, 7, 0, 7, band]]
