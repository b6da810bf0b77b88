"""Quantiles of cumulated histograms."""

from __future__ import annotations

import pytest

from ops.dashboards.quantile import histogram_quantile


@pytest.mark.parametrize(
    ("q", "expected"),
    [(0.25, 0.5), (0.5, 1.0), (0.75, 2.0), (1.0, 3.0)],
)
def test_inside_a_bucket_a_quantile_is_linear(q: float, expected: float) -> None:
    buckets = [(1.0, 2.0), (3.0, 4.0), (float("inf"), 4.0)]
    assert histogram_quantile(q, buckets) == pytest.approx(expected)


def test_beyond_the_last_bound_a_quantile_is_that_bound() -> None:
    assert histogram_quantile(0.99, [(1.0, 1.0), (float("inf"), 10.0)]) == 1.0
