"""A moment to look back to: a time of assignment, or an offset of the clickstream."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final, NamedTuple

from ops.errors import MomentError

_OFFSET: Final = re.compile(r"(\d{1,9}):(\d{1,18})")
_MS: Final = re.compile(r"\d{1,15}")


class Moment(NamedTuple):
    """A time (ms UTC), or the moment when the record at an offset of a partition was folded."""

    time: int | None = None
    partition: int | None = None
    offset: int | None = None


LATEST: Final = Moment()
"""As far as the log reaches now."""


def parse_moment(text: str) -> Moment:
    """Read MS, an ISO 8601 time, or PARTITION:OFFSET. A time without a zone is in UTC.

    Raises:
        MomentError: it is none of them.
    """
    if match := _OFFSET.fullmatch(text):
        return Moment(partition=int(match[1]), offset=int(match[2]))
    if _MS.fullmatch(text):
        return Moment(time=int(text))
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise MomentError(
            f"{text[:40]!r} is no moment: give ms since the epoch, ISO 8601 (2026-11-28T12:00:00Z), or "
            "PARTITION:OFFSET of the clickstream (3:1200)"
        ) from None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return Moment(time=round(when.timestamp() * 1000))


def in_words(ms: int) -> str:
    """A time, ms UTC, for people."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
