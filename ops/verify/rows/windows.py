"""Window counts: every field of every window that the store keeps, cell by cell, and until when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np

from feature_store.online.mending import Fix
from feature_store.online.stored import StoredWindow
from inference.counts.profile import (
    FEATURES,
    TALLIES,
    TALLY,
    Counts,
    empty_profile,
    pack_profile,
    unpack_profile,
)
from inference.counts.windows import OTHERS, StoreWindow, WindowSettings
from inference.errors import ProfileError
from ops.verify.expected.counts import TYING, Whose, Window
from ops.verify.findings import Findings

_CELLS: Final = {
    **{feature.name: feature.cells for feature in FEATURES},
    **{f"tally.{name}": slice(TALLY[name], TALLY[name] + 1) for name in TALLIES},
}
_OF_EVENTS: Final = [
    *(feature.name for feature in FEATURES if feature.votes == "events"),
    *(f"tally.{name}" for name in TALLIES),
]
"""What does not depend on the codebook version."""
_OF_BUYERS: Final = [feature.name for feature in FEATURES if feature.votes == "buyers"]


class WindowComparison:
    """Compares the windows of a partition with their recount.

    Exactly, per codebook version and store, where both can be known. Elsewhere the counts of events are
    compared, summed over the versions: where a swap, or more stores than are counted apart, is in the window.
    Everywhere a buyer's vote has one cell in each feature.
    """

    def __init__(
        self,
        wanted: Mapping[int, Window],
        settings: WindowSettings,
        now_ms: int,
        may_be_of_erased: bool,
        found: Findings,
    ) -> None:
        """wanted: by window number. may_be_of_erased: whether windows of nobody may be of erased buyers whose
        events are gone from the log."""
        self._wanted, self._settings, self._now = wanted, settings, now_ms
        self._may_be_of_erased, self._found = may_be_of_erased, found

    def compare(self, stored: Iterable[StoredWindow]) -> None:
        """Compare all windows of the partition."""
        seen = set()
        for window in stored:
            number = window.start // window.length_ms
            if window.length_ms != self._settings.length_ms:
                self._found.report.windows_in_part += 1  # counted under another setting; it expires
                continue
            seen.add(number)
            self._found.report.windows += 1
            self._compare_expiry(number, window)
            self._compare(number, window)
        for number, expected in self._wanted.items():
            left = expected.last_created + 1000 * self._settings.keep_s - self._now
            if number not in seen and expected.profiles and left > 0:
                for whose, counts in expected.profiles.items():
                    fix = self._fix(number, whose, None, counts, left) if self._is_exact(expected) else None
                    self._found.note("windows_different", "window.row", _place(number), fix)

    def _compare_expiry(self, number: int, window: StoredWindow) -> None:
        longest = 1000 * self._settings.keep_s
        if not 0 <= window.left_ms <= longest:
            fix = Fix(self._name(number), None, None, None, longest)
            self._found.note("windows_different", "window.expiry", _place(number), fix)

    def _compare(self, number: int, window: StoredWindow) -> None:
        expected = self._wanted.get(number)
        if expected is None:
            expected = Window(is_in_part=self._may_be_of_erased)
        is_exact, profiles = self._is_exact(expected), dict[Whose, Counts]()
        damaged = set()
        for field, packed in window.fields.items():
            whose = StoreWindow("", OTHERS)
            wrong: str | None = "profile"
            try:
                whose = StoreWindow.from_field(field)
                profiles[whose] = unpack_profile(packed)
                wrong = _broken_law(profiles[whose])
            except (ProfileError, UnicodeDecodeError, IndexError, ValueError):
                pass
            if wrong:
                damaged.add(whose)
                counts = expected.profiles.get(whose)
                fix = Fix(self._name(number), field, packed, None if counts is None else pack_profile(counts))
                self._found.note(
                    "windows_different", f"window.{wrong}", _place(number), fix if is_exact else None
                )
        if is_exact:
            self._compare_exactly(number, window, expected, profiles, damaged)
            return
        self._found.report.windows_in_part += 1
        is_whole = self._now - expected.first_created < 1000 * self._settings.keep_s
        if is_whole and not damaged and not self._may_be_of_erased:
            self._compare_sums(number, expected, profiles)

    def _is_exact(self, window: Window) -> bool:
        """Whether versions and stores are known of all that was counted."""
        by_version = Counter(version for version, _ in window.profiles)
        capped = max(by_version.values(), default=0) >= self._settings.window_stores
        began_anew = self._now - window.first_created >= 1000 * self._settings.keep_s
        return not (window.is_in_part or capped or began_anew or None in by_version)

    def _compare_exactly(
        self,
        number: int,
        window: StoredWindow,
        expected: Window,
        profiles: Mapping[Whose, Counts],
        damaged: set[StoreWindow],
    ) -> None:
        for whose in {*profiles, *expected.profiles} - damaged:
            _, store = whose
            if store in expected.erased:
                continue
            found, wanted = profiles.get(whose), expected.profiles.get(whose)
            field = _field(whose)
            if wanted is None:
                if not self._may_be_of_erased:
                    fix = Fix(self._name(number), field, window.fields[field], None)
                    self._found.note("windows_different", "window.nobody", _place(number), fix)
                continue
            wrong = "field" if found is None else _unlike(found, wanted, expected)
            if wrong:
                fix = self._fix(number, whose, window.fields.get(field), wanted, None)
                self._found.note("windows_different", f"window.{wrong}", _place(number), fix)

    def _compare_sums(self, number: int, expected: Window, profiles: Mapping[Whose, Counts]) -> None:
        """What was counted of events, over all versions; over all stores where some are not counted apart."""
        stores = {store for _, store in (*profiles, *expected.profiles)}
        together = len(stores) >= self._settings.window_stores
        if together and expected.erased:
            return
        for some in [stores] if together else [{store} for store in stores - expected.erased]:
            found, wanted = _sum(profiles, some), _sum(expected.profiles, some)
            wrong = next((name for name in _OF_EVENTS if _is_unlike(name, found, wanted, expected)), None)
            if wrong is not None:
                self._found.note("windows_different", f"window.{wrong}", _place(number))

    def _fix(self, number: int, whose: Whose, seen: bytes | None, counts: Counts, left_ms: int | None) -> Fix:
        return Fix(self._name(number), _field(whose), seen, pack_profile(counts), left_ms)

    def _name(self, number: int) -> bytes:
        length = self._settings.length_ms
        return b"window:%d:%d" % (length, number * length)


def _place(number: int) -> str:
    return f"window {number}"


def _field(whose: Whose) -> bytes:
    version, store = whose
    return StoreWindow(version or "", store).to_field()


def _sum(profiles: Mapping[Whose, Counts], stores: set[str]) -> Counts:
    return sum((counts for (_, store), counts in profiles.items() if store in stores), empty_profile())


def _broken_law(counts: Counts) -> str | None:
    """A feature that breaks what holds of every profile: no count is negative, and each vote has one cell in
    each feature of buyers."""
    negative = next((name for name, cells in _CELLS.items() if (counts[cells] < 0).any()), None)
    if negative is not None:
        return negative
    votes = Counter(int(counts[_CELLS[name]].sum()) for name in _OF_BUYERS)
    usual = votes.most_common(1)[0][0]
    return next((name for name in _OF_BUYERS if int(counts[_CELLS[name]].sum()) != usual), None)


def _unlike(found: Counts, wanted: Counts, window: Window) -> str | None:
    return next((name for name in _CELLS if _is_unlike(name, found, wanted, window)), None)


def _is_unlike(name: str, found: Counts, wanted: Counts, window: Window) -> bool:
    difference = (found - wanted)[_CELLS[name]]
    if name in TYING:
        moved = int(np.abs(difference).sum())
        return int(difference.sum()) != 0 or moved > 2 * window.ties[name]
    if name == "tally.refused":
        return not 0 <= int(difference[0]) <= window.lost
    return bool(difference.any())
