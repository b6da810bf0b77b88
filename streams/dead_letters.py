"""Dead letters: records that were refused, kept with the reason and their raw bytes."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

import msgspec

MAX_RAW_BYTES: Final = 65_536
"""Of a larger record only so much is kept: enough to see what it was, too little to fill a broker."""
MAX_DETAIL_CHARS: Final = 500


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a topic of dead letters, keyed as the record was that it is about.

    reason: of an event a DeadLetterReason; of an assignment <sink>_refused or no_assignment. detail is a
    sentence for a person; raw_base64 holds the first 64 KiB of the record's raw_bytes bytes, whose SHA-256 is
    raw_sha256.
    """

    reason: str
    detail: str
    topic: str
    partition: int
    offset: int
    raw_base64: str
    raw_bytes: int
    raw_sha256: str
    created: int | None = None
    """CreateTime of the record, ms UTC; null in letters of releases that did not keep it."""


def dead_letter(
    reason: str, detail: str, topic: str, partition: int, offset: int, raw: bytes, created: int
) -> DeadLetter:
    """Describe a refused record. created: its CreateTime, ms UTC."""
    return DeadLetter(
        reason=reason,
        detail=detail[:MAX_DETAIL_CHARS],
        topic=topic,
        partition=partition,
        offset=offset,
        raw_base64=base64.b64encode(raw[:MAX_RAW_BYTES]).decode("ascii"),
        raw_bytes=len(raw),
        raw_sha256=hashlib.sha256(raw).hexdigest(),
        created=created,
    )


encode_dead_letter = msgspec.json.Encoder().encode
decode_dead_letter = msgspec.json.Decoder(DeadLetter).decode
