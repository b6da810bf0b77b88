"""Which calibration holds for an event of a partition: the last one of its store and version before it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping

import msgspec

from feature_store.contract.calibration import Calibration, decode_calibration, encode_calibration
from feature_store.errors import RowVersionError


class InForce:
    """The calibrations of one partition, at their offsets."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, str], tuple[list[int], list[Calibration]]] = {}

    def __bool__(self) -> bool:
        return bool(self._of)

    def __iter__(self) -> Iterator[tuple[int, Calibration]]:
        for places, them in self._of.values():
            yield from zip(places, them, strict=True)

    @classmethod
    def of_rows(cls, rows: Mapping[bytes, bytes]) -> InForce:
        """From what the online store keeps of a partition: offset -> record.

        Raises:
            RowVersionError: one of them cannot be read.
        """
        found = cls()
        for offset, raw in rows.items():
            found.add(*read_row(offset, raw))
        return found

    def add(self, offset: int, calibration: Calibration) -> None:
        """Take one in that lies at an offset of the log."""
        places, them = self._of.setdefault((calibration.store, calibration.codebook_version), ([], []))
        at = bisect_left(places, offset)
        if at == len(places) or places[at] != offset:  # else it is read again after a rewind
            places.insert(at, offset)
            them.insert(at, calibration)

    def at(self, store: str, version: str, offset: int) -> Calibration | None:
        """The one that holds for an event at an offset."""
        found = self._of.get((store, version))
        if found is None:
            return None
        before = bisect_left(found[0], offset)
        return found[1][before - 1] if before else None


def read_row(offset: bytes, raw: bytes) -> tuple[int, Calibration]:
    """One of a partition's rows: its field, the offset, and its value.

    Raises:
        RowVersionError: it cannot be read.
    """
    try:
        if not offset.isdigit():
            raise ValueError(f"{offset[:20]!r} is no offset")
        return int(offset), decode_calibration(raw)
    except (msgspec.MsgspecError, ValueError) as error:
        raise RowVersionError(f"a calibration row cannot be read: {error}") from None


def row_of(offset: int, calibration: Calibration) -> tuple[bytes, bytes]:
    """The field and the value by which the online store keeps it."""
    return b"%d" % offset, encode_calibration(calibration)
