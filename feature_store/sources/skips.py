"""Why an item of a payload becomes no event."""

from __future__ import annotations

import enum
from typing import Final

from feature_store.errors import SkippedItemError


class SkipReason(enum.StrEnum):
    """Why an item became no event. Bounded: it is a metric label."""

    BOT = "bot"
    NO_BUYER_ID = "no_buyer_id"
    OTHER_EVENT = "other_event"
    UNMAPPED_EVENT = "unmapped_event"
    SESSION_BOUNDARY = "session_boundary"
    OPTED_OUT = "opted_out"
    BAD_TIMESTAMP = "bad_timestamp"
    INVALID = "invalid"


FAULTS: Final = frozenset({SkipReason.BAD_TIMESTAMP, SkipReason.INVALID})
"""The reasons that mean a broken sender; the others are ordinary traffic."""


def invalid(detail: str) -> SkippedItemError:
    """The error for an item whose sender is at fault."""
    return SkippedItemError(SkipReason.INVALID, detail)


def bad_time(detail: str) -> SkippedItemError:
    """The error for an item whose time cannot be read."""
    return SkippedItemError(SkipReason.BAD_TIMESTAMP, detail)
