"""A candidate beside the champion: counted, bounded, and harmless however it fails."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from feature_store.fold.vector import VECTOR_SIZE
from inference.encoders.encoder import Encoding
from inference.errors import EncoderUnavailableError
from streams.live.swap.duty_cycle import DutyCycle
from streams.live.swap.shadow import Shadow
from streams.metrics import WorkerMetrics
from tests.waiting import wait_until

VECTORS = np.zeros((4, VECTOR_SIZE), np.float32)


def encoding(codes: list[int], types: list[int]) -> Encoding:
    n = len(codes)
    nothing = np.zeros(n, np.float32)
    kinds = np.array(types, np.int64)
    return Encoding(np.array(codes, np.int64), nothing, nothing, kinds, nothing, kinds, nothing)


class Candidate:
    """Says what it is told to, after `meanwhile`."""

    def __init__(self, version: str, says: Encoding, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.codebook_version = version
        self.types: tuple[str, ...] = ("buyer", "browser")
        self.stores = frozenset[str]()
        self.closed = threading.Event()
        self._says, self._meanwhile = says, meanwhile

    def encode(self, vectors: NDArray[np.float32]) -> Encoding:
        self._meanwhile()
        return self._says

    def probe(self) -> None:
        raise AssertionError("nobody probes a candidate")

    def close(self) -> None:
        self.closed.set()


def value(metrics: WorkerMetrics, name: str, candidate: str | None = None) -> float | None:
    return metrics.registry.get_sample_value(
        f"simpersona_shadow_{name}_total", {} if candidate is None else {"candidate": candidate}
    )


def test_agreement_of_code_and_of_type_by_name_is_counted() -> None:
    metrics = WorkerMetrics()
    shadow = Shadow(metrics, share=1.0)
    shadow.begin(Candidate("next", encoding([1, 2, 3, 4], [0, 1, 1, -1])))
    said = encoding([1, 2, 9, 9], [1, 0, 1, -1])
    shadow.offer(VECTORS, said, ("browser", "buyer"))  # the same names, numbered otherwise
    wait_until(lambda: value(metrics, "same_type", "next") != 0, "the comparison")
    assert value(metrics, "compared", "next") == 4
    assert value(metrics, "same_code", "next") == 2
    assert value(metrics, "same_type", "next") == 3
    shadow.end()


def test_a_failing_candidate_is_dropped_and_counted_once() -> None:
    metrics = WorkerMetrics()
    shadow = Shadow(metrics, share=1.0)

    def fail() -> None:
        raise EncoderUnavailableError("away")

    candidate = Candidate("next", encoding([1] * 4, [0] * 4), fail)
    shadow.begin(candidate)
    shadow.offer(VECTORS, encoding([1] * 4, [0] * 4), ())
    assert candidate.closed.wait(60)
    for _ in range(5):
        shadow.offer(VECTORS, encoding([1] * 4, [0] * 4), ())
    assert value(metrics, "failures") == 1
    assert value(metrics, "compared", "next") == 0
    shadow.end()


def test_a_candidate_that_hangs_holds_nobody_up_and_skips_what_it_does_not_get_to() -> None:
    metrics, release = WorkerMetrics(), threading.Event()
    shadow = Shadow(metrics, share=1.0)
    candidate = Candidate("next", encoding([1] * 4, [0] * 4), lambda: release.wait(60))
    shadow.begin(candidate)
    for _ in range(1_000):
        shadow.offer(VECTORS, encoding([1] * 4, [0] * 4), ())
    shadow.end()
    release.set()
    assert candidate.closed.wait(60)
    assert value(metrics, "compared", "next") in (0, 4, 8)


def test_one_candidates_series_at_a_time_and_the_last_ones_stay() -> None:
    metrics = WorkerMetrics()
    shadow = Shadow(metrics, share=1.0)
    for version in ("one", "two"):
        shadow.begin(Candidate(version, encoding([1] * 4, [0] * 4)))
    shadow.end()
    assert value(metrics, "compared", "one") is None
    assert value(metrics, "compared", "two") == 0


def test_a_share_rests_after_work_in_proportion() -> None:
    now = [100.0]
    share = DutyCycle(0.2, clock=lambda: now[0])
    assert share.wait_s == 0
    with share.spend():
        now[0] += 3.0
    assert share.wait_s == 12.0
    now[0] += 12.0
    assert share.wait_s == 0
