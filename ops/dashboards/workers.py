"""What workers say of themselves at one moment: their metrics, read from each."""

from __future__ import annotations

import socket
import urllib.request
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

_TIMEOUT_S: Final = 2.0
_AT_ONCE: Final = 16


class Counted(NamedTuple):
    """Counters since a worker began: records taken, refused ones by reason, and how many were tagged within
    each upper bound (s) of the event-to-tag histogram."""

    events: float
    refused: dict[str, float]
    tagged: dict[float, float]

    def since(self, earlier: Counted | None) -> Counted:
        """What was counted after an earlier scrape; after a restart, which counts from 0, all of it."""
        if earlier is None or self.events < earlier.events:
            return self
        return Counted(
            self.events - earlier.events,
            {reason: n - earlier.refused.get(reason, 0) for reason, n in self.refused.items()},
            {bound: n - earlier.tagged.get(bound, 0) for bound, n in self.tagged.items()},
        )


class Scrape(NamedTuple):
    """One worker at one moment. lag: events not yet folded in its partitions."""

    counted: Counted
    lag: int
    partitions: int
    codebooks: tuple[str, ...]
    degraded: bool
    waiting: bool


def read_scrape(text: str) -> Scrape:
    """A worker's metrics in Prometheus' text format; what is not in them counts as 0.

    Raises:
        ValueError: it is no such text.
        KeyError: a series lacks a label that workers give it.
    """
    samples: dict[str, list[Sample]] = defaultdict(list)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples[sample.name].append(sample)

    def total(name: str) -> float:
        return sum(sample.value for sample in samples[name])

    return Scrape(
        Counted(
            total("simpersona_events_total"),
            {s.labels["reason"]: s.value for s in samples["simpersona_dead_letters_total"]},
            {
                float(s.labels["le"]): s.value
                for s in samples["simpersona_stage_seconds_bucket"]
                if s.labels["stage"] == "event_to_tag"
            },
        ),
        lag=int(total("simpersona_consumer_lag_events")),
        partitions=int(total("simpersona_owned_partitions")),
        codebooks=tuple(s.labels["version"] for s in samples["simpersona_codebook_info"] if s.value),
        degraded=bool(total("simpersona_encoder_degraded")),
        waiting=bool(total("simpersona_waiting")),
    )


def scrape_all(urls: Sequence[str]) -> dict[str, Scrape | None]:
    """The workers behind these URLs by address; None for one that does not answer. Blocks for seconds."""
    addresses = sorted({address for url in urls for address in _addresses(url)})
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="scrape") as pool:
        return dict(zip(addresses, pool.map(_scrape, addresses), strict=True))


def _addresses(url: str) -> list[str]:
    """The URL at each IPv4 address of its host; the URL itself where the name is not known now."""
    parts = urlsplit(url)
    try:
        hosts = socket.gethostbyname_ex(parts.hostname or "")[2]
    except OSError:
        return [url]
    return [parts._replace(netloc=f"{host}:{parts.port or 80}").geturl() for host in hosts]


def _scrape(url: str) -> Scrape | None:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as reply:
            return read_scrape(reply.read().decode())
    except (OSError, HTTPException, ValueError, KeyError):  # KeyError: metrics of somebody else
        return None
