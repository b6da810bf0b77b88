"""Times in every notation that shops send."""

from __future__ import annotations

import email.utils
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import SkippedItemError
from feature_store.sources.values.context import NO_CONTEXT, Context
from feature_store.sources.values.notes import Reason
from feature_store.sources.values.times import TimeFound, read_time
from feature_store.sources.values.units import TimeUnit

TEN = 1_763_892_000_000  # 2025-11-23T10:00:00Z
MOMENTS = st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30))


def read(value: Any, unit: TimeUnit = "iso8601", context: Context = NO_CONTEXT) -> int:
    return read_time("ts", value, unit, context).ms


@given(MOMENTS, st.integers(-14 * 60, 14 * 60))
def test_a_moment_is_the_same_in_every_notation(moment: datetime, offset: int) -> None:
    utc = moment.replace(tzinfo=UTC)
    micros = (utc - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    there = utc.astimezone(timezone(timedelta(minutes=offset)))
    assert (
        read(there.isoformat())
        == read(there)
        == read(moment.isoformat(" ") + " UTC")
        == read(f"{there:%Y-%m-%dT%H:%M:%S.%f}000{there:%z}" if moment.year > 999 else there)
        == read(micros, "us")
        == read(str(micros), "us")
        == read(micros * 1000, "ns")
        == read(micros // 1000, "ms")
        == read(moment, context=Context(zone=UTC))
        == micros // 1000
    )


@given(MOMENTS.filter(lambda moment: moment.year > 1970), st.integers(-14 * 60, 14 * 60))
def test_a_moment_of_rfc_2822_is_read_to_the_second(moment: datetime, offset: int) -> None:
    there = moment.replace(tzinfo=UTC).astimezone(timezone(timedelta(minutes=offset)))
    assert read(email.utils.format_datetime(there)) == read(there.replace(microsecond=0))


@given(st.datetimes(datetime(1990, 1, 1), datetime(2025, 1, 1)))
def test_a_count_without_a_unit_is_of_the_one_that_fits(moment: datetime) -> None:
    micros = (moment - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    for count in (micros // 1000, micros, micros * 1000, str(micros // 1000)):
        assert read_time("ts", count, "iso8601", NO_CONTEXT)[:2] == (micros // 1000, Reason.UNIT)
    assert read(micros // 1_000_000) == micros // 1_000_000 * 1000


@pytest.mark.parametrize(
    "text",
    [
        "2025-11-23 10:00:00 UTC",
        "2025-11-23 10:00:00 GMT",
        "2025-11-23T10:00:00Z",
        "2025-11-23T10:00:00.000000000Z",
        "2025-11-23T11:00:00+0100",
        "2025-11-23 11:00:00 +0100",
        "2025-11-23 05:00:00-05",
        "Sun, 23 Nov 2025 10:00:00 GMT",
        "Sun, 23 Nov 2025 10:00:00 -0000",
        "23 Nov 2025 11:00:00 +0100",
        "Sun Nov 23 2025 11:00:00 GMT+0100 (Central European Standard Time)",
        "2025/11/23 10:00:00 UTC",
        "23.11.2025 10:00:00 UTC",
        "23.11.2025, 11:00:00.000 +01:00",
        "2025-11-23T11:00:00+01:00[Europe/Berlin]",
        {"$date": "2025-11-23T10:00:00Z"},
        {"value": "2025-11-23T10:00:00Z"},
        str(TEN),
        TEN,
        TEN / 1000,
        "1763892000",
    ],
)
def test_ten_o_clock(text: Any) -> None:
    assert read(text) == TEN


def test_seconds_may_have_a_fraction() -> None:
    assert read(1740268801.75, "s") == read("1740268801.75", "s") == 1_740_268_801_750


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "soon",
        True,
        float("inf"),
        float("nan"),
        [],
        {},
        "2025-13-01T00:00:00Z",
        10**400,
        pytest.param("1 Nov 2025 " + "(" * 10**6, id="long"),
    ],
)
@pytest.mark.parametrize("unit", ["iso8601", "s", "ms", "us", "ns"])
def test_no_time(value: Any, unit: TimeUnit) -> None:
    with pytest.raises(SkippedItemError, match=r"(bad_timestamp|invalid): ts is "):
        read(value, unit)


def test_a_time_without_a_zone_needs_one() -> None:
    with pytest.raises(SkippedItemError, match="--timezone"):
        read("2025-11-23T10:00:00")
    berlin = Context(zone=ZoneInfo("Europe/Berlin"))
    assert read_time("ts", "2025-11-23T11:00:00", "iso8601", berlin) == TimeFound(
        TEN, Reason.ZONE, "Europe/Berlin"
    )
    assert read(date(2025, 11, 23), context=berlin) == TEN - 11 * 3_600_000
    assert read_time("ts", "2025-11-23T10:00:00Z", "iso8601", berlin) == TimeFound(TEN)


def test_an_error_names_the_unit_that_fits() -> None:
    with pytest.raises(SkippedItemError, match="read as ms, it fits us"):
        read(TEN * 1000, "ms")


@given(st.text(), st.sampled_from(["iso8601", "s", "ms", "us", "ns"]))
def test_any_text_is_a_time_or_refused(text: str, unit: TimeUnit) -> None:
    with suppress(SkippedItemError):
        assert 0 < read(text, unit) < 253_402_300_800_000


@given(st.text(alphabet="0123456789-:TZ+. GMTUCSunNovJan,()", max_size=40))
def test_nothing_like_a_time_raises_anything_else(text: str) -> None:
    with suppress(SkippedItemError):
        read(text)
