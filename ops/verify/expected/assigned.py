"""What the assignments topic holds of one partition, and which codebook version was in force where.

The worker of a partition sends in the order of the log, so consecutive assignments of one version are a
run of that version. Where exactly one version followed another nobody wrote down: between the last
assignment of a run and the first of the next both are possible, and there only what all of them must say
is judged.
"""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.online.assignment import (
    Assignment,
    confidence_band,
    decode_assignment,
    is_of_an_earlier_release,
)

EVENT_REASONS: Final = frozenset({"code", "type", "forecast", "confidence"})
"""Assigned at the offset of the event just folded; swap and session_end may look back."""
_EVER: Final = 2**62


class Word(NamedTuple):
    """An assignment, without what its place in the log says already."""

    key: bytes
    version: str
    code: int
    type: str | None
    confidence: float | None
    forecast: str | None
    forecast_probability: float | None
    distance: float
    margin: float
    events: int
    event_time: int
    reason: str
    is_earlier: bool
    """Sent by a release that made no forecast: its type was one."""


def sent_with(of: Word | Assignment) -> tuple[str | None, int, str | None, int]:
    """Type, band of its confidence, forecast and band of its probability: what is sent with every change. The
    code may have changed since."""
    bands = (
        0 if chance is None else confidence_band(chance)
        for chance in (of.confidence, of.forecast_probability)
    )
    confidence, forecast = bands
    return of.type, confidence, of.forecast, forecast


def word_of(key: bytes, a: Assignment, *, is_earlier: bool) -> Word:
    """An assignment of a buyer (Kafka key) as a word."""
    return Word(
        key,
        sys.intern(a.codebook_version),
        a.code,
        None if a.type is None else sys.intern(a.type),
        a.confidence,
        None if a.forecast is None else sys.intern(a.forecast),
        a.forecast_probability,
        a.distance,
        a.margin,
        a.events,
        a.event_time,
        sys.intern(a.reason),
        is_earlier,
    )


class Last(NamedTuple):
    """The last assignments of a buyer under one version: all that were sent at the highest offset, oldest
    first, ends of sessions apart; `raws` as the topic holds them. A crash and a replay make two of one."""

    offset: int
    words: list[Word]
    raws: list[bytes]


@dataclass
class _Run:
    version: str
    first: int = _EVER
    last: int = -1


@dataclass
class Assigned:
    """Assignments of a partition, by offset and by buyer."""

    end: int
    """The store's next offset: what was assigned from there on is in no checkpoint yet."""
    words: dict[int, list[Word]] = field(default_factory=dict)
    """By the offset of the clickstream record after which they hold."""
    last: dict[bytes, dict[str, Last]] = field(default_factory=dict)
    """By Kafka key, then by codebook version."""
    ahead: dict[tuple[bytes, int], list[bytes]] = field(default_factory=dict)
    """(Kafka key, offset from `end` on) -> assignments as the topic holds them."""
    latest: dict[tuple[bytes, str], bytes] = field(default_factory=dict)
    """(Kafka key, codebook version) -> what was sent last, at whatever offset; ends of sessions apart."""
    ended: dict[bytes, int] = field(default_factory=dict)
    """Kafka key -> highest offset with an end of the session."""
    is_cut: bool = False
    """Whether retention has deleted the topic's first assignments."""
    held_from: int = 0
    """Below this offset of the clickstream not all that was assigned is still held."""
    judged_from: int = 0
    """Below this offset not all is still held, or was sent by another rule."""
    _has_earlier: bool = False
    _later_from: int = _EVER
    _runs: list[_Run] = field(default_factory=list)
    _spans: list[tuple[int, int, str]] = field(default_factory=list)

    @property
    def versions(self) -> set[str]:
        """Codebook versions that assigned anything."""
        return {run.version for run in self._runs}

    @property
    def returned(self) -> set[str]:
        """Versions that assigned something, and again after another one had."""
        runs = Counter(run.version for run in self._runs)
        return {version for version, times in runs.items() if times > 1}

    @property
    def newest_version(self) -> str | None:
        """The version of the topic's last assignment; None for an empty topic."""
        return self._runs[-1].version if self._runs else None

    def add(self, key: bytes, assigned: Assignment, raw: bytes) -> None:
        """Take an assignment of a buyer (Kafka key), in the topic's order."""
        a, is_earlier = assigned, is_of_an_earlier_release(raw)
        if not self._runs or self._runs[-1].version != a.codebook_version:
            self._runs.append(_Run(sys.intern(a.codebook_version)))
        run = self._runs[-1]
        if is_earlier:
            self._has_earlier = True
        elif self._has_earlier and a.reason in EVENT_REASONS:
            self._later_from = min(self._later_from, a.offset)
        if a.reason in EVENT_REASONS:
            run.first, run.last = min(run.first, a.offset), max(run.last, a.offset)
        if a.offset >= self.end:
            self.ahead.setdefault((key, a.offset), []).append(raw)
            return
        word = word_of(key, a, is_earlier=is_earlier)
        self.words.setdefault(a.offset, []).append(word)
        if a.reason == "session_end":
            self.ended[key] = max(a.offset, self.ended.get(key, -1))
            return
        self.latest[key, run.version] = raw
        by_version = self.last.setdefault(key, {})
        known = by_version.get(run.version)
        if known is None or a.offset > known.offset:
            by_version[run.version] = Last(a.offset, [word], [raw])
        elif a.offset == known.offset:
            known.words.append(word)
            known.raws.append(raw)

    def seal(self, is_cut: bool) -> None:
        """All assignments are added; `is_cut`: the topic no longer holds its first ones."""
        self.is_cut = is_cut
        if is_cut:
            self.held_from = min((run.first for run in self._runs), default=_EVER)
        self.judged_from = max(self.held_from, self._later_from if self._has_earlier else 0)
        reached = -1
        for run, following in itertools.zip_longest(self._runs, self._runs[1:]):
            begins = min(run.first, reached + 1)
            ends = _EVER if following is None else max(run.last, following.first - 1)
            self._spans.append((begins, ends, run.version))
            reached = run.last if run.last >= 0 else reached
        self._spans = _merged(self._spans)

    def sent_last(self, key: bytes, version: str) -> list[Word | Assignment]:
        """What may have been sent last of a buyer under a version: at the highest offset, or, where that was
        announced without an event and the store then went back, by whoever read the events again."""
        found: list[Word | Assignment] = []
        if version in self.last.get(key, {}):
            found += self.last[key][version].words
        if (key, version) in self.latest:
            found.append(decode_assignment(self.latest[key, version]))
        return found

    def in_force(self, offset: int) -> frozenset[str]:
        """The versions that may have tagged the event at an offset; none where nothing was ever assigned."""
        return frozenset(version for begins, ends, version in self._spans if begins <= offset <= ends)

    def borders(self) -> NDArray[np.int64]:
        """Offsets at which the versions in force change, ascending, int64 [n]."""
        return np.unique(np.array([(b, e + 1) for b, e, _ in self._spans], dtype=np.int64))


def _merged(spans: Iterable[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Spans of one version that touch, as one."""
    whole: dict[str, list[tuple[int, int]]] = {}
    for begins, ends, version in sorted(spans):
        mine = whole.setdefault(version, [])
        if mine and begins <= mine[-1][1] + 1:
            mine[-1] = (mine[-1][0], max(ends, mine[-1][1]))
        else:
            mine.append((begins, ends))
    return [(begins, ends, version) for version, spans_ in whole.items() for begins, ends in spans_]
