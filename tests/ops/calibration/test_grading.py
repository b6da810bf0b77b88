"""Sessions of one partition, graded by how they ended."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from feature_store.contract.events import Event
from feature_store.fold.behavior import SESSION_GAP_MS
from inference.encoders.encoder import Encoding
from ops.calibration.grading import Grader
from ops.verify.expected.log import Record
from tests.inference.calibration.test_in_force import calibration

AT = 1_760_000_000_000


class CountingEncoder:
    """The type is 0, then 1 from the buyer's 4th event on; the forecast is always 1."""

    codebook_version = "v1"
    types = ("looker", "buyer")
    stores = frozenset[str]()

    def encode(self, vectors: NDArray[np.float32]) -> Encoding:
        n = len(vectors)
        kind = (vectors[:, 0] >= 4).astype(np.int64)
        half = np.full(n, 0.5, np.float32)
        return Encoding(kind, half, half, kind, half, np.ones(n, np.int64), half)

    def probe(self) -> None:
        """It is always well."""

    def close(self) -> None:
        """Nothing to close."""


def _event(number: int, at: int, buyer: str = "a") -> Event:
    return Event(
        schema_version=1,
        event_id=f"{buyer}{number}",
        store="acme",
        buyer=buyer,
        type="page_view",
        timestamp=AT + at,
    )


def _records(times: list[int], buyer: str = "a", first: int = 0) -> list[Record]:
    return [Record(first + i, AT + at, _event(first + i, at, buyer)) for i, at in enumerate(times)]


def _grader() -> Grader:
    return Grader(CountingEncoder(), lambda _key: -1)


def test_a_session_is_graded_by_the_type_at_its_end() -> None:
    grader = _grader()
    grader.add(_records([0, 1_000, 2_000, 3_000, 4_000]))
    grader.add(_records([4_000 + SESSION_GAP_MS + 1], first=5))
    (ended,) = grader.ended
    assert (ended.store, ended.type, ended.ended) == ("acme", 1, AT + 4_000)
    assert [(it.position, it.type, it.forecast, it.time - AT) for it in ended.forecasts] == [
        (3, 0, 1, 2_000),
        (5, 1, 1, 4_000),
    ]


def test_a_session_ends_when_event_time_has_gone_on_without_the_buyer() -> None:
    grader = _grader()
    grader.add(_records([0, 1_000, 2_000]))
    assert grader.finish() == {"acme": AT + 2_000}
    assert not grader.ended
    grader.add(_records([2_000 + SESSION_GAP_MS + 1], buyer="b", first=9))
    assert grader.finish() == {}
    assert [one.type for one in grader.ended] == [0]


def test_labels_never_come_where_nothing_goes_on() -> None:
    grader = _grader()
    for buyer in range(3):
        grader.add(_records([0, 1_000, 2_000, 3_000], buyer=f"b{buyer}", first=10 * buyer))
    grader.finish()
    assert not grader.ended


def test_a_session_of_two_events_has_no_forecast_to_grade() -> None:
    grader = _grader()
    grader.add(_records([0, 1_000, 1_000 + 2 * SESSION_GAP_MS]))
    grader.finish()
    assert not grader.ended


def test_batches_make_no_difference() -> None:
    times = [0, 5, 9, 12, 20, 20 + 2 * SESSION_GAP_MS, 30 + 2 * SESSION_GAP_MS, 40 + 2 * SESSION_GAP_MS]
    whole, parts = _grader(), _grader()
    records = _records(times) + _records([10 * SESSION_GAP_MS], buyer="z", first=50)
    whole.add(records)
    for record in records:
        parts.add([record])
    assert (whole.finish(), repr(whole.ended)) == (parts.finish(), repr(parts.ended))
    assert len(whole.ended) == 2


def test_what_was_erased_is_not_graded() -> None:
    grader = Grader(CountingEncoder(), lambda key: 100 if key == b"acme|a" else -1)
    grader.add(_records([0, 1_000, 2_000, 2_000 + 2 * SESSION_GAP_MS]))
    assert not grader.ended


def test_what_was_stated_is_what_held_at_the_event() -> None:
    grader = _grader()
    ours = calibration("ours")
    records = [*_records([0, 1_000, 2_000]), Record(3, AT, None, calibration=ours)]
    records += _records([3_000, 4_000, 4_000 + 2 * SESSION_GAP_MS], first=4)
    grader.add(records)
    third, fifth = grader.ended[0].forecasts
    assert third.calibration is None
    assert np.isnan(third.confidence)
    assert fifth.calibration == "ours"
    assert fifth.confidence == np.float32(1 / (1 + np.exp(0.5)))
    assert np.isnan(fifth.chance)  # ours calibrates the confidence alone
    assert fifth.raw_confidence == third.raw_confidence == 0.5
