"""The batch histogram counts as prometheus-client's own does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from streams.histogram import SECONDS, BatchHistogram


@given(st.lists(st.floats(0, 200), max_size=50), st.integers(1, 3))
def test_it_equals_one_observation_at_a_time(values: list[float], weight: int) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    batch = BatchHistogram("x", "x", "stage", ("a", "b"), ours)
    single = Histogram("x", "x", ["stage"], buckets=SECONDS, registry=theirs)
    batch.observe("a", values, weight)
    for value in values:
        for _ in range(weight):
            single.labels("a").observe(value)
    for bound in (*(str(b) for b in SECONDS), "+Inf"):
        labels = {"stage": "a", "le": bound}
        assert ours.get_sample_value("x_bucket", labels) == (theirs.get_sample_value("x_bucket", labels) or 0)
    assert ours.get_sample_value("x_sum", {"stage": "a"}) == pytest.approx(
        theirs.get_sample_value("x_sum", {"stage": "a"}) or 0
    )
    assert ours.get_sample_value("x_count", {"stage": "b"}) == 0


def test_clocks_that_disagree_count_as_zero() -> None:
    registry = CollectorRegistry()
    BatchHistogram("x", "x", "stage", ("a",), registry).observe("a", -3.0)
    assert registry.get_sample_value("x_sum", {"stage": "a"}) == 0
