"""Pauses between tries, and what a receiver may ask for."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from streams.sinks.backoff import backoff_s, retry_after_s


@pytest.mark.parametrize(("tried", "longest"), [(1, 0.5), (2, 1.0), (3, 2.0), (4, 3.0), (5_000, 3.0)])
def test_pauses_double_up_to_the_longest_and_differ(tried: int, longest: float) -> None:
    pauses = {backoff_s(tried, 0.5, 3.0) for _ in range(50)}
    assert all(longest / 2 <= pause <= longest for pause in pauses)
    assert len(pauses) > 1


def test_what_the_receiver_asks_for_is_waited_for() -> None:
    assert backoff_s(1, 0.5, 3.0, asked_s=40.0) == 40.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0", 0.0), (formatdate(0, usegmt=True), 0.0), ("soon", None), ("", None), ("-1", None)],
)
def test_retry_after_is_a_number_or_a_date(header: str, seconds: float | None) -> None:
    assert retry_after_s({"Retry-After": header}) == seconds


def test_a_date_to_come_is_so_many_seconds_away() -> None:
    asked = retry_after_s({"Retry-After": formatdate(time.time() + 3600, usegmt=True)})
    assert asked is not None
    assert 0.0 < asked <= 3600.0
