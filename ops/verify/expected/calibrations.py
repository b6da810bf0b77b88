"""A partition's calibrations: those of its log, and from before the log those that the store still holds."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from feature_store.contract.calibration import Calibration
from feature_store.errors import RowVersionError
from inference.calibration.in_force import InForce, read_row, row_of


class PartitionCalibrations:
    """What holds where; `log` begins with what is older than the oldest record that can be read."""

    def __init__(self, stored: Mapping[bytes, bytes], log_begins: int) -> None:
        """stored: the store's rows. log_begins: below this offset no record of a calibration is left to be
        read, so there the rows that can be read are believed."""
        self.in_force, self.log_begins = InForce(), log_begins
        self.rows: dict[bytes, bytes] = {}
        """What the store must hold from log_begins on."""
        for field, raw in stored.items():
            with suppress(RowVersionError):
                offset, calibration = read_row(field, raw)
                if offset < log_begins:
                    self.in_force.add(offset, calibration)

    def add(self, offset: int, calibration: Calibration) -> None:
        """Take the next one of the log."""
        self.in_force.add(offset, calibration)
        field, raw = row_of(offset, calibration)
        self.rows[field] = raw
