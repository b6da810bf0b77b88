"""Windows in the online store: where profiles of live traffic are kept, and how they are read.

A partition's owner writes its part of every window, inside the fenced checkpoint: per (codebook
version, store) a packed profile. What all partitions say of a window adds up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from feature_store.errors import EmptyStoreError
from feature_store.online.rows import OnlineRows
from feature_store.settings import Settings
from inference.counts.profile import Counts, empty_profile, unpack_profile

OTHERS: Final = ""
"""Stands for stores beyond SIMPERSONA_WINDOW_STORES, and for refused records: these may have none."""

_WINDOWS_A_READ: Final = 96


class WindowSettings(Settings):
    """How live traffic is counted for drift and for p_s(k)."""

    model_config = SettingsConfigDict(env_prefix="SIMPERSONA_")

    window_seconds: int = Field(
        300, description="event time of a window of counts; one value for workers, API and drift", ge=10
    )
    window_hours: float = Field(
        24.0, description="how long the store keeps the counts of a window (wall clock)", gt=0
    )
    window_stores: int = Field(
        200, description="most stores counted apart, a partition and window; the rest count together", ge=1
    )

    @property
    def length_ms(self) -> int:
        """Length of a window, ms."""
        return self.window_seconds * 1000

    @property
    def keep_s(self) -> int:
        """How long the store keeps a window, s."""
        return round(self.window_hours * 3600)


class StoreWindow(NamedTuple):
    """Whose counts: codebook version, store (OTHERS: see there)."""

    version: str
    store: str

    def to_field(self) -> bytes:
        """As the online store spells it."""
        return f"{self.version}|{self.store}".encode()

    @classmethod
    def from_field(cls, field: bytes) -> StoreWindow:
        """Read it back; versions hold no |."""
        version, _, store = field.decode().partition("|")
        return cls(version, store)


class WindowReader:
    """Reads and merges what the workers counted. Safe to share between threads."""

    def __init__(self, rows: OnlineRows, settings: WindowSettings) -> None:
        self._rows, self._settings = rows, settings
        self._partitions: int | None = None

    def newest(self) -> int | None:
        """Number of the window that event time is in now; None before anything was folded.

        Raises:
            OnlineStoreError: the store does not answer.
        """
        try:
            progress = self._rows.progress_of(self._every_partition()).values()
        except EmptyStoreError:
            return None
        watermark = max((p.watermark for p in progress if p is not None), default=0)
        return watermark // self._settings.length_ms or None

    def windows(self, first: int, end: int) -> dict[int, dict[StoreWindow, Counts]]:
        """Counts of windows `first` to `end` (not included), partitions added up; windows of nobody lack.

        Raises:
            OnlineStoreError: the store does not answer.
            ProfileError: a row is of another release.
        """
        found: dict[int, dict[StoreWindow, Counts]] = {}
        for start in range(first, end, _WINDOWS_A_READ):
            numbers = range(start, min(start + _WINDOWS_A_READ, end))
            raw = self._rows.read_windows(self._every_partition(), self._settings.length_ms, numbers)
            for number, parts in raw.items():
                merged = found.setdefault(number, {})
                for field, packed in parts:
                    whose = StoreWindow.from_field(field)
                    merged[whose] = merged.get(whose, 0) + unpack_profile(packed)
        return found

    def recent(self, span_ms: int, version: str) -> dict[str, Counts]:
        """Counts by store of the newest windows that make up a span, under one codebook version.

        This is what p_s(k) "now" is read from: code_shares(recent(...)[store]).

        Raises:
            OnlineStoreError, ProfileError: see `windows`.
        """
        newest = self.newest()
        if newest is None:
            return {}
        length = max(1, round(span_ms / self._settings.length_ms))
        return merge(self.windows(newest - length + 1, newest + 1), version)

    def _every_partition(self) -> Sequence[int]:
        if self._partitions is None:
            self._partitions = self._rows.partition_count()
        return range(self._partitions)


def merge(windows: Mapping[int, Mapping[StoreWindow, Counts]], version: str) -> dict[str, Counts]:
    """Add windows up by store, of one codebook version."""
    merged: dict[str, Counts] = defaultdict(empty_profile)
    for window in windows.values():
        for whose, counts in window.items():
            if whose.version == version:
                merged[whose.store] = merged[whose.store] + counts
    return dict(merged)
