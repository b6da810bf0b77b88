"""How events reach Kafka: a little out of order, a share of them late, a share of them twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ops.traffic.config import MAX_LATE_MS, MAX_REDELIVERY_MS

Ints = npt.NDArray[np.int64]

_NETWORK_MS: Final = 250.0
"""Mean of the exponential delay of every event: enough to swap a buyer's quick clicks now and then."""
LATE_FROM_MS: Final = 60_000
_LATE_MEDIAN_MS: Final = 120_000.0
_LATE_SPREAD: Final = 1.0
"""Late events come a minute late and more, mostly under ten; one in 250 misses the 30 minutes' lateness."""
_REDELIVERY_MEDIAN_MS: Final = 5_000.0
_REDELIVERY_SPREAD: Final = 1.5


@dataclass(frozen=True)
class Deliveries:
    """row: the event, int64 [m]; at: when it is delivered, ms since the epoch, int64 [m]."""

    row: Ints
    at: Ints


def deliver(timestamps: Ints, duplicates: float, late: float, rng: np.random.Generator) -> Deliveries:
    """Draw each event's delivery, and a second one of the same event for a share of `duplicates`."""
    n = len(timestamps)
    delay = rng.exponential(_NETWORK_MS, n)
    is_late = rng.random(n) < late
    lateness = LATE_FROM_MS + rng.lognormal(np.log(_LATE_MEDIAN_MS), _LATE_SPREAD, n)
    delay = np.where(is_late, lateness, delay)
    first = timestamps + np.minimum(delay, MAX_LATE_MS).astype(np.int64)
    again = np.flatnonzero(rng.random(n) < duplicates)
    wait = rng.lognormal(np.log(_REDELIVERY_MEDIAN_MS), _REDELIVERY_SPREAD, len(again))
    second = first[again] + 1 + np.minimum(wait, MAX_REDELIVERY_MS - 1).astype(np.int64)
    return Deliveries(np.concatenate([np.arange(n), again]), np.concatenate([first, second]))
