from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from inference.bundles.bundle import load_bundle, starter_bundle_path
from inference.encoders.encoder import Encoding
from inference.encoders.failover import FailoverEncoder
from inference.encoders.onnx import OnnxEncoder
from inference.errors import EncoderUnavailableError, InvalidVectorError
from tests.inference.made_bundles import random_vectors

BUNDLE = load_bundle(starter_bundle_path())
ROWS = random_vectors(4)


class Switched:
    """An encoder that can be switched off, and counts what reached it."""

    def __init__(self) -> None:
        self._encoder = OnnxEncoder(BUNDLE)
        self.codebook_version = self._encoder.codebook_version
        self.types, self.stores = self._encoder.types, self._encoder.stores
        self.on = True
        self.encoded = self.probed = 0
        self.closed = False

    def encode(self, vectors: NDArray[np.float32]) -> Encoding:
        self._answer()
        self.encoded += 1
        return self._encoder.encode(vectors)

    def probe(self) -> None:
        self._answer()
        self.probed += 1

    def close(self) -> None:
        self.closed = True

    def _answer(self) -> None:
        if not self.on:
            raise EncoderUnavailableError("switched off")


class Bench:
    """A failover encoder with hands on its clock and both its encoders."""

    def __init__(self, fallback: bool = True) -> None:
        self.primary, self.fallback = Switched(), Switched()
        self.now = 0.0
        self.modes: list[str] = []
        self.encoder = FailoverEncoder(
            self.primary,
            self.fallback if fallback else None,
            self.modes.append,
            retry_s=5.0,
            clock=lambda: self.now,
        )


def test_the_primary_answers_while_it_can() -> None:
    bench = Bench()
    bench.encoder.encode(ROWS)
    bench.encoder.probe()
    assert (bench.primary.encoded, bench.fallback.encoded) == (1, 0)
    assert (bench.encoder.mode, bench.modes) == ("primary", [])


def test_the_batch_that_finds_the_primary_away_is_answered_in_process() -> None:
    bench = Bench()
    bench.primary.on = False
    encoding = bench.encoder.encode(ROWS)
    np.testing.assert_array_equal(encoding.code, OnnxEncoder(BUNDLE).encode(ROWS).code)
    assert (bench.encoder.mode, bench.modes) == ("degraded", ["degraded"])


def test_the_primary_is_asked_again_only_after_the_pause_and_with_an_inference() -> None:
    bench = Bench()
    bench.primary.on = False
    bench.encoder.encode(ROWS)
    bench.primary.on = True
    bench.now = 4.9
    bench.encoder.encode(ROWS)
    assert (bench.primary.probed, bench.primary.encoded) == (0, 0)
    bench.now = 5.0
    bench.encoder.encode(ROWS)
    assert (bench.primary.probed, bench.primary.encoded, bench.fallback.encoded) == (1, 1, 2)
    assert bench.modes == ["degraded", "primary"]


def test_a_failed_probe_waits_for_another_pause() -> None:
    bench = Bench()
    bench.primary.on = False
    bench.encoder.encode(ROWS)
    bench.now = 5.0
    bench.encoder.encode(ROWS)
    bench.primary.on = True
    bench.now = 9.9
    bench.encoder.encode(ROWS)
    assert bench.primary.probed == 0
    assert bench.modes == ["degraded"]


def test_without_a_fallback_it_waits_and_says_so() -> None:
    bench = Bench(fallback=False)
    bench.primary.on = False
    for _ in range(2):
        with pytest.raises(EncoderUnavailableError):
            bench.encoder.encode(ROWS)
        with pytest.raises(EncoderUnavailableError):
            bench.encoder.probe()
    assert (bench.encoder.mode, bench.modes) == ("waiting", ["waiting"])
    bench.primary.on = True
    bench.now = 5.0
    bench.encoder.probe()
    bench.encoder.encode(ROWS)
    assert bench.modes == ["waiting", "primary"]


def test_both_away_is_an_error_and_recovers() -> None:
    bench = Bench()
    bench.primary.on = bench.fallback.on = False
    with pytest.raises(EncoderUnavailableError):
        bench.encoder.encode(ROWS)
    bench.fallback.on = True
    bench.encoder.encode(ROWS)
    assert bench.encoder.mode == "degraded"


def test_a_probe_notices_that_the_primary_went_away() -> None:
    bench = Bench()
    bench.primary.on = False
    bench.encoder.probe()
    assert (bench.encoder.mode, bench.fallback.probed) == ("degraded", 1)


def test_bad_rows_are_no_reason_to_degrade() -> None:
    bench = Bench()
    with pytest.raises(InvalidVectorError):
        bench.encoder.encode(np.full((1, 403), np.nan, np.float32))
    assert bench.modes == []


def test_both_are_closed() -> None:
    bench = Bench()
    bench.encoder.close()
    assert bench.primary.closed
    assert bench.fallback.closed


@given(st.lists(st.tuples(st.booleans(), st.floats(0.0, 10.0)), max_size=30), st.booleans())
def test_each_batch_is_answered_once_or_refused(story: list[tuple[bool, float]], fallback: bool) -> None:
    bench = Bench(fallback)
    answered = 0
    for on, pause in story:
        bench.primary.on = on
        bench.now += pause
        try:
            bench.encoder.encode(ROWS)
            answered += 1
        except EncoderUnavailableError:
            assert not fallback
    assert bench.primary.encoded + bench.fallback.encoded == answered
    assert all(one != other for one, other in zip(bench.modes, bench.modes[1:], strict=False))
    assert not fallback or answered == len(story)


def test_a_primary_that_fails_anew_is_repaired_and_not_at_the_first_failure() -> None:
    primary, repairs = Switched(), [0]
    now = [0.0]

    def repair() -> None:
        repairs[0] += 1

    encoder = FailoverEncoder(
        primary, Switched(), lambda _mode: None, retry_s=5.0, clock=lambda: now[0], repair=repair
    )
    primary.on = False
    encoder.encode(ROWS)
    encoder.encode(ROWS)
    assert repairs == [0]
    now[0] = 5.0
    encoder.encode(ROWS)
    assert repairs == [1]
    primary.on = True
    now[0] = 10.0
    encoder.encode(ROWS)
    assert (repairs, encoder.mode) == ([1], "primary")
