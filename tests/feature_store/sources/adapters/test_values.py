"""The strict readers of loose values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import SkippedItemError
from feature_store.sources.adapters.common import currency, identifier, number, text, time_ms, whole_number


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1299.00", 1299.0), (0, 0.0), (" 5 ", 5.0), ("", None), (None, None), (2.5, 2.5)],
)
def test_number(value: Any, expected: float | None) -> None:
    assert number(value) == expected


@pytest.mark.parametrize("value", ["1,299.00", "$5", "1_000", "inf", "NaN", float("nan"), 10**400, True, []])
def test_no_number(value: Any) -> None:
    with pytest.raises(SkippedItemError, match="amount"):
        number(value)


def test_quantities_are_whole() -> None:
    assert whole_number("2.0") == 2
    with pytest.raises(SkippedItemError, match="whole"):
        whole_number(1.5)


@pytest.mark.parametrize(
    "value",
    [None, "", "  ", "null", "NULL", "undefined", "(not set)", "00000000-0000-0000-0000-000000000000"],
)
def test_the_many_ways_to_send_no_id(value: Any) -> None:
    assert identifier(value) is None


@pytest.mark.parametrize(("value", "expected"), [(17, "17"), (" a ", " a "), ("ID|1", "ID|1"), (0, "0")])
def test_an_id_stays_as_it_was_sent(value: Any, expected: str) -> None:
    assert identifier(value) == expected


@pytest.mark.parametrize("value", [1.5, True, [], {}, b"a", "\udc00"])
def test_no_id(value: Any) -> None:
    with pytest.raises(SkippedItemError):
        identifier(value)


def test_long_free_text_is_cut_and_long_ids_are_not() -> None:
    assert text("x" * 2_000) == "x" * 512
    assert identifier("x" * 2_000) == "x" * 2_000


def test_currencies_are_upper_case() -> None:
    assert currency(" usd ") == "USD"


@given(st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30)), st.integers(-14 * 60, 14 * 60))
def test_a_moment_is_the_same_in_every_notation(moment: datetime, offset: int) -> None:
    utc = moment.replace(tzinfo=UTC)
    micros = (utc - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    there = utc.astimezone(timezone(timedelta(minutes=offset)))
    assert (
        time_ms(there.isoformat())
        == time_ms(there)
        == time_ms(micros, "us")
        == time_ms(str(micros), "us")
        == time_ms(micros * 1000, "ns")
        == time_ms(micros // 1000, "ms")
        == micros // 1000
    )


def test_seconds_may_have_a_fraction() -> None:
    assert time_ms(1740268801.75, "s") == time_ms("1740268801.75", "s") == 1_740_268_801_750


@pytest.mark.parametrize(
    "value", [None, "", "soon", True, float("inf"), float("nan"), [], "2025-13-01T00:00:00Z"]
)
@pytest.mark.parametrize("unit", ["iso8601", "s", "ms", "us", "ns"])
def test_no_time(value: Any, unit: Any) -> None:
    with pytest.raises(SkippedItemError, match="bad_timestamp"):
        time_ms(value, unit)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(SkippedItemError, match="zone"):
        time_ms("2025-02-23T00:00:01.750")
