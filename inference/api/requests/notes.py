"""What the processes of the API tell each other through the online store: notes on buyers that expire by
themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from feature_store.online.servers.shared import Command

FRESH_S: Final = 300
"""So long after an event its buyer counts as one whose persona is on its way."""
REQUESTED_S: Final = 60
"""So long another process may need to hear of an erasure from the log."""


class Requested(msgspec.Struct, frozen=True):
    """An erasure was asked for: the request's id, and when (ms UTC)."""

    request_id: str
    at: int


encode_requested = msgspec.json.Encoder().encode
decode_requested = msgspec.json.Decoder(Requested).decode


def fresh_key(row: bytes) -> bytes:
    """Where it is noted that a buyer was heard of."""
    return b"simpersona-api:fresh:" + row


def requested_key(row: bytes) -> bytes:
    """Where it is noted that a buyer's erasure was asked for."""
    return b"simpersona-api:erasure:" + row


def both(rows: Sequence[bytes]) -> Command:
    """Ask for both notes on each of these buyers: replies in turn."""
    return ("MGET", *(key for row in rows for key in (fresh_key(row), requested_key(row))))
