"""When a request that was not answered is sent again."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime


@dataclass(frozen=True)
class Retries:
    """How often and when a request is sent again. Retries(times=0): never.

    Pauses double from `first_s` up to `most_s`. Each is drawn from its upper half, so that clients which lost
    the same server do not come back at once. A Retry-After of up to `most_s` is waited for; a longer one ends
    the tries.
    """

    times: int = 4
    first_s: float = 0.2
    most_s: float = 20.0

    def pause_s(self, tried: int, asked_s: float | None = None) -> float | None:
        """Seconds to wait after `tried` failures (from 1 on), or None: it is not sent again.

        asked_s: the server's Retry-After.
        """
        if tried > self.times or (asked_s or 0.0) > self.most_s:
            return None
        return self.backoff_s(tried, asked_s)

    def backoff_s(self, tried: int, asked_s: float | None = None) -> float:
        """Seconds to wait after `tried` failures, however many they are."""
        own = min(self.most_s, self.first_s * 2.0 ** min(tried - 1, 32)) * random.uniform(0.5, 1.0)
        return max(own, asked_s or 0.0)


RETRIES = Retries()
"""The default: about three seconds of tries."""


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that a Retry-After asks for, as a number or as a date (RFC 9110, 10.2.3); None without one."""
    asked = headers.get("Retry-After", "")
    if asked.isdecimal():
        return float(asked)
    try:
        return max(0.0, parsedate_to_datetime(asked).timestamp() - time.time())
    except ValueError:
        return None
