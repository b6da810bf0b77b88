"""State rows of earlier releases, brought to the present version when they are read (docs/adr/0039).

Each step takes a whole row of one version to the next. A row begins with its version in one byte; of a row
that is cut off after the counters, which is all that the API reads, a step takes what is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from feature_store.errors import RowVersionError

Step = Callable[[bytes], bytes]


def _name_the_fold(row: bytes) -> bytes:
    """1 -> 2: the second byte, always 0 before, names the fold: release 0.1.0 knew but one."""
    return bytes((2, 1)) + row[2:]


_HEADER_TO: Final = 26
_COUNTERS_TO: Final = _HEADER_TO + 8 * 26
_NO_FORECAST: Final = b"\xff\x00"
_BITMAPS_TO: Final = _COUNTERS_TO + 8 * 5


def _make_room_for_the_memory(row: bytes) -> bytes:
    """2 -> 3: no forecast was sent, 17 more counters after the 26, and after the bitmaps the word that
    says what is remembered.

    The ring of the last 64 ids stays, so a repeat of one of them is found as before.
    """
    header, counters = row[2:_HEADER_TO] + _NO_FORECAST, row[_HEADER_TO:_COUNTERS_TO]
    bitmaps, rest = row[_COUNTERS_TO:_BITMAPS_TO], row[_BITMAPS_TO:]
    return bytes((3, row[1])) + header + counters + bytes(8 * 17) + bitmaps + bytes(8) + rest


STEPS: Final[Mapping[int, Step]] = {1: _name_the_fold, 2: _make_room_for_the_memory}
"""From this version to the next. A release may drop the first one; the ADR says when."""
ROW_VERSION: Final = 3
"""What this release writes."""
OLDEST_ROW_VERSION: Final = min(STEPS)
"""The oldest version that this release still reads."""


def check_version(version: int, what: str) -> None:
    """Refuse a version that this release cannot read. what: names the row in the error.

    Raises:
        RowVersionError: it is of a later release, or of one too long ago.
    """
    if version > ROW_VERSION:
        raise RowVersionError(
            f"{what} is of row version {version}, this release reads {OLDEST_ROW_VERSION} to {ROW_VERSION}: "
            "a later release has written here; run that one"
        )
    if version < OLDEST_ROW_VERSION:
        raise RowVersionError(
            f"{what} is of row version {version}, this release reads {OLDEST_ROW_VERSION} to {ROW_VERSION}: "
            "run a release in between first, or empty the store and backfill"
        )


def to_present(row: bytes) -> bytes:
    """A state row as this release writes it; one of the present version comes back as it is.

    Raises:
        RowVersionError: its version cannot be read here.
    """
    version = row[0]
    if version == ROW_VERSION:
        return row
    check_version(version, "a state row")
    for step in range(version, ROW_VERSION):
        row = STEPS[step](row)
    return row
