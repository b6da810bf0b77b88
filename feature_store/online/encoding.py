"""Rows of the online store as bytes: how far a partition is folded, what tags it, and a buyer's state.

Where each row lies, and when it may change, is feature_store.online.rows's.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from feature_store.errors import RowVersionError
from feature_store.fold.state import FOLD_VERSION
from feature_store.online.migrations import ROW_VERSION, check_version, to_present

_HEADER: Final = struct.Struct("<BBqqhbBIbB")
_NOT_COUNTED: Final = 0x80  # in the byte of the band


class Progress(NamedTuple):
    """How far a partition is folded: the next offset to read, and the highest event time seen (ms).

    sequence counts the checkpoints, so that the fence moves with each, also with one that only erases.
    row_version is the highest that the partition's state rows may be of: a release that does not read it is
    refused by this row, before it reads or writes any other.
    """

    next_offset: int
    watermark: int
    sequence: int = 0
    row_version: int = ROW_VERSION

    def to_bytes(self) -> bytes:
        """The row as it is stored and compared by the fence; release 0.1.0 wrote no row version."""
        return b"%d %d %d" % self[:3] if self.row_version == 1 else b"%d %d %d %d" % self

    @classmethod
    def from_bytes(cls, raw: bytes) -> Progress:
        """Parse a stored row.

        Raises:
            RowVersionError: it is not three or four integers, or names rows that this release does not read.
        """
        try:
            next_offset, watermark, sequence, *rest = map(int, raw.split())
            (row_version,) = rest or (1,)
        except ValueError:
            raise RowVersionError(
                f"the progress row {raw[:80]!r} is not '<offset> <watermark> <sequence> <row version>'"
            ) from None
        check_version(row_version, f"a partition folded up to offset {next_offset}")
        return cls(next_offset, watermark, sequence, row_version)


class Tagged(NamedTuple):
    """Under which codebook version a partition's personas are.

    all_of_them: nobody's persona is left of another version. A worker of another version writes this
    row, behind the fence, before it assigns anything (docs/adr/0017).
    """

    version: str
    all_of_them: bool

    def to_bytes(self) -> bytes:
        """The row as it is stored."""
        return f"{self.version} {'done' if self.all_of_them else 'walking'}".encode()

    @classmethod
    def from_bytes(cls, raw: bytes) -> Tagged:
        """Parse a stored row."""
        version, _, how_far = raw.decode().partition(" ")
        return cls(version, how_far == "done")


class RowHeader(NamedTuple):
    """What a state row says beside the state.

    since_offset and last_offset are those of the first and last event folded in; code, type, band, forecast
    and forecast_band are what was last sent of the buyer (-1 and 0 for nothing yet), version the hash of the
    codebook version it was assigned under; counted is False where that was without an event (after a swap),
    so that no window has counted it. fold is the version of the fold that began the state: what a later one
    adds, it adds from a later event on.
    """

    since_offset: int
    last_offset: int
    code: int
    type: int
    band: int
    version: int
    counted: bool = True
    fold: int = FOLD_VERSION
    forecast: int = -1
    forecast_band: int = 0


def pack_row(header: RowHeader, state: bytes) -> bytes:
    """A state row of the present version."""
    since, last, code, kind, band, version, counted, fold, forecast, forecast_band = header
    flagged = band if counted else band | _NOT_COUNTED
    start = ROW_VERSION, fold, since, last, code, kind, flagged, version, forecast, forecast_band
    return _HEADER.pack(*start) + state


def unpack_row(row: bytes) -> tuple[RowHeader, bytes]:
    """Split a state row, of the present version or one before, into header and packed state.

    Raises:
        RowVersionError: of a version that this release does not read, or not a row.
    """
    if len(row) < _HEADER.size:
        raise RowVersionError(f"a state row has {len(row)} bytes, its header alone has {_HEADER.size}")
    row = to_present(row)
    _, fold, since, last, code, kind, band, version, forecast, forecast_band = _HEADER.unpack_from(row)
    if not 1 <= fold <= FOLD_VERSION:
        raise RowVersionError(
            f"a state row was begun by version {fold} of the fold, this release knows 1 to {FOLD_VERSION}: "
            "run the release that wrote it"
        )
    counted, band = not band & _NOT_COUNTED, band & ~_NOT_COUNTED
    header = RowHeader(since, last, code, kind, band, version, counted, fold, forecast, forecast_band)
    return header, row[_HEADER.size :]


def is_of_an_earlier_release(row: bytes) -> bool:
    """Whether a row that can be read waits to be written in the present version."""
    return row[0] != ROW_VERSION
