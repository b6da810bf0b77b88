"""Rows of the store that cannot be read: whose they are, said once for the log and for a person."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import numpy as np

from feature_store.errors import RowVersionError
from feature_store.fold.behavior import empty_states
from feature_store.fold.state import unpack_states
from feature_store.online.encoding import unpack_row
from inference.errors import ProfileError
from streams.errors import UnreadableRowError


@contextmanager
def naming(partition: int, what: str, key: bytes | None = None) -> Iterator[None]:
    """Inside, a row that cannot be read is one of this partition, and of this buyer if `key` is given.

    Raises:
        UnreadableRowError: in place of what the reader raised.
    """
    try:
        yield
    except (RowVersionError, ProfileError, msgspec.MsgspecError, ValueError) as error:
        raise UnreadableRowError(partition, what, str(error), key) from error


def check_state(partition: int, key: bytes, row: bytes) -> None:
    """Read a buyer's state row.

    Raises:
        UnreadableRowError: it cannot be read.
    """
    with naming(partition, "state row", key):
        unpack_states(empty_states(1), np.zeros(1, np.int64), [unpack_row(row)[1]])


def mark_of(key: bytes) -> str:
    """What logs name a buyer by: the key's SHA-256, 12 hex digits."""
    return hashlib.sha256(key).hexdigest()[:12]
