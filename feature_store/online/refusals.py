"""What collectors refused at the door, by store, key, reason and field, in hours of the clock.

A collector adds to a hash per hour; a field is "<store>|<key id>|<reason>|<field>", its value a count. Counts
are of the time of receipt, at most once, and expire with their hour. No value of an event is in them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from feature_store.contract.events import Event
from feature_store.online.client import AsyncStore, store_answers
from feature_store.online.keys import Keys

HOUR_MS: Final = 3_600_000
KEPT_HOURS: Final = 7 * 24
_FIELDS: Final = frozenset(Event.__struct_fields__)


class RefusedKind(NamedTuple):
    """What was refused, and of whom. store: "" where nobody says it; field: "" where none is named."""

    store: str
    key: str
    reason: str
    field: str


class RefusedCount(msgspec.Struct, frozen=True, kw_only=True):
    """A sender's refused items of one reason and field: how many; the hours (ms UTC) of first and last."""

    store: str
    key: str
    reason: str
    field: str
    count: int
    first: int
    last: int


def field_named(detail: str) -> str:
    """The contract field that a refusal's sentence begins with or names between backticks; "" for none."""
    for quoted in [detail.partition(" ")[0].rstrip(":"), *detail.split("`")[1::2]]:
        name = quoted.removeprefix("$.").partition(".")[0].partition("[")[0]
        if name in _FIELDS:
            return name
    return ""


async def add_refusals(store: AsyncStore, topic: str, met: Mapping[tuple[int, RefusedKind], int]) -> None:
    """Add counts by (number of the hour, what was refused), in one round trip.

    Raises:
        OnlineStoreError: the store does not answer; then some of it may have been added.
    """
    keys = Keys(topic)
    with store_answers():
        pipe = store.pipeline(transaction=False)
        for (hour, refusal), count in met.items():
            pipe.hincrby(keys.refusals(hour * HOUR_MS), "|".join(refusal), count)
        for hour in {hour for hour, _ in met}:
            pipe.expire(keys.refusals(hour * HOUR_MS), KEPT_HOURS * HOUR_MS // 1000)
        await pipe.execute()


async def read_refusals(store: AsyncStore, topic: str, since: int, now: int) -> list[RefusedCount]:
    """What was refused between two moments (ms UTC), to the hour; the most frequent first.

    Raises:
        OnlineStoreError: the store does not answer.
    """
    last = now // HOUR_MS
    hours = range(max(since // HOUR_MS, last - KEPT_HOURS), last + 1)
    with store_answers():
        pipe = store.pipeline(transaction=False)
        for hour in hours:
            pipe.hgetall(Keys(topic).refusals(hour * HOUR_MS))
        answers = await pipe.execute()
    return _sums({hour: found for hour, found in zip(hours, answers, strict=True) if found})


def _sums(by_hour: Mapping[int, Mapping[bytes, Any]]) -> list[RefusedCount]:
    counts: Counter[RefusedKind] = Counter()
    hours: dict[RefusedKind, list[int]] = {}
    for hour, found in by_hour.items():
        for name, raw in found.items():
            refusal = RefusedKind(*name.decode().split("|"))
            counts[refusal] += int(raw)
            hours.setdefault(refusal, []).append(hour * HOUR_MS)
    return [
        RefusedCount(**refusal._asdict(), count=count, first=min(hours[refusal]), last=max(hours[refusal]))
        for refusal, count in counts.most_common()
    ]
