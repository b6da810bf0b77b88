"""Profiles of live traffic in the online store, by window: how they are keyed and read.

The owner of a partition writes its own part of each window inside the fenced checkpoint: one packed profile
per (codebook version, store). The profile of a window is the sum over the partitions.
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
"""The store of counts that belong to no store of their own: stores beyond SIMPERSONA_WINDOW_STORES, and
refused records, which may name none."""

_WINDOWS_PER_READ: Final = 96


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
        200,
        description="most stores with counts of their own, per partition and window; the rest count together",
        ge=1,
    )

    @property
    def length_ms(self) -> int:
        """Length of a window, ms."""
        return self.window_seconds * 1000

    @property
    def keep_s(self) -> int:
        """How long the online store keeps a window, s."""
        return round(self.window_hours * 3600)


class StoreWindow(NamedTuple):
    """The codebook version and the store (or OTHERS) of a profile."""

    version: str
    store: str

    def to_field(self) -> bytes:
        """The name of its field in the online store."""
        return f"{self.version}|{self.store}".encode()

    @classmethod
    def from_field(cls, field: bytes) -> StoreWindow:
        """Read it back. A version never contains |."""
        version, _, store = field.decode().partition("|")
        return cls(version, store)


class WindowReader:
    """Reads the workers' profiles and merges them. Threads may share it."""

    def __init__(self, rows: OnlineRows, settings: WindowSettings) -> None:
        self._rows, self._settings = rows, settings
        self._partitions: int | None = None

    def newest(self) -> int | None:
        """The number of the window that event time has reached; None if nothing was folded yet.

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
        """Profiles of windows `first` to `end` (exclusive), summed over partitions; no empty windows.

        Raises:
            OnlineStoreError: the store does not answer.
            ProfileError: another release wrote a row.
        """
        found: dict[int, dict[StoreWindow, Counts]] = {}
        for start in range(first, end, _WINDOWS_PER_READ):
            numbers = range(start, min(start + _WINDOWS_PER_READ, end))
            raw = self._rows.read_windows(self._every_partition(), self._settings.length_ms, numbers)
            for number, parts in raw.items():
                merged = found.setdefault(number, {})
                for field, packed in parts:
                    whose = StoreWindow.from_field(field)
                    merged[whose] = merged.get(whose, 0) + unpack_profile(packed)
        return found

    def recent(self, span_ms: int, version: str) -> dict[str, Counts]:
        """Profiles by store over the newest windows of a span, for one codebook version.

        The current p_s(k) is code_shares(recent(...)[store]).

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
    """Sum windows by store, for one codebook version."""
    merged: dict[str, Counts] = defaultdict(empty_profile)
    for window in windows.values():
        for whose, counts in window.items():
            if whose.version == version:
                merged[whose.store] = merged[whose.store] + counts
    return dict(merged)
