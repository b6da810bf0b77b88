"""Rows of the online store as bytes: how far a partition is folded, what tags it, and a buyer's state.

Where each row lies, and when it may change, is feature_store.online.rows's.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from feature_store.errors import RowVersionError

ROW_VERSION: Final = 1
_HEADER: Final = struct.Struct("<HqqhbBI")
_NOT_COUNTED: Final = 0x80  # in the byte of the band


class Progress(NamedTuple):
    """How far a partition is folded: the next offset to read, and the highest event time seen (ms).

    sequence counts the checkpoints, so that the fence moves with each, also with one that only erases.
    """

    next_offset: int
    watermark: int
    sequence: int = 0

    def to_bytes(self) -> bytes:
        """The row as it is stored and compared by the fence."""
        return b"%d %d %d" % self

    @classmethod
    def from_bytes(cls, raw: bytes) -> Progress:
        """Parse a stored row.

        Raises:
            RowVersionError: it is not three integers.
        """
        try:
            next_offset, watermark, sequence = map(int, raw.split())
        except ValueError:
            raise RowVersionError(
                f"the progress row {raw[:80]!r} is not '<offset> <watermark> <sequence>'"
            ) from None
        return cls(next_offset, watermark, sequence)


class Tagged(NamedTuple):
    """Under which codebook version a partition's personas are said.

    all_of_them: nobody's persona is left of another version. A worker of another version writes this
    row, behind the fence, before it says anything (docs/adr/0017).
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

    since_offset and last_offset are those of the first and last event folded in; code, type and band
    are what was last said of the buyer (-1 and 0 for nothing yet), version the hash of the codebook
    version it was said under; counted is False where that was without an event (after a swap), so that
    no window has counted it.
    """

    since_offset: int
    last_offset: int
    code: int
    type: int
    band: int
    version: int
    counted: bool = True


def pack_row(header: RowHeader, state: bytes) -> bytes:
    """A state row of the current version."""
    since, last, code, kind, band, version, counted = header
    flagged = band if counted else band | _NOT_COUNTED
    return _HEADER.pack(ROW_VERSION, since, last, code, kind, flagged, version) + state


def unpack_row(row: bytes) -> tuple[RowHeader, bytes]:
    """Split a state row into header and packed state.

    Raises:
        RowVersionError: another schema version, or not a row.
    """
    if len(row) < _HEADER.size:
        raise RowVersionError(f"a state row has {len(row)} bytes, its header alone has {_HEADER.size}")
    row_version, since, last, code, kind, band, version = _HEADER.unpack_from(row)
    if row_version != ROW_VERSION:
        raise RowVersionError(
            f"a state row has schema version {row_version}, this release reads {ROW_VERSION}: "
            "run the release that wrote it, or empty the store and backfill"
        )
    header = RowHeader(since, last, code, kind, band & ~_NOT_COUNTED, version, not band & _NOT_COUNTED)
    return header, row[_HEADER.size :]
