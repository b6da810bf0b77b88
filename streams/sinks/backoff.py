"""How long the sink waits before it sends a request again."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

_DOUBLINGS: Final = 32
"""More make no longer pause than any setting allows, and too many are no float."""


def backoff_s(tried: int, first_s: float, most_s: float, asked_s: float = 0.0) -> float:
    """Seconds to wait after `tried` failures in a row (from 1 on).

    Pauses double from `first_s` up to `most_s`. Each is drawn from its upper half, so that sinks which lost
    the same receiver do not come back at once. asked_s: the receiver's Retry-After; the pause is no shorter.
    """
    own = min(most_s, first_s * 2.0 ** min(tried - 1, _DOUBLINGS)) * random.uniform(0.5, 1.0)
    return max(own, asked_s)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that a Retry-After asks for, as a number or as a date (RFC 9110, 10.2.3).

    None where there is no such header, or none that can be read.
    """
    asked = headers.get("Retry-After", "")
    if asked.isdecimal():
        return float(asked)
    try:
        return max(0.0, parsedate_to_datetime(asked).timestamp() - time.time())
    except ValueError:
        return None
