"""The record of an erasure: what every reader of buyers honours (docs/adr/0008)."""

from __future__ import annotations

import msgspec


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the topic simpersona-erasures, keyed store|buyer.

    before_offset: events of the key below it, in partition `partition` of the clickstream, are void.
    requested_at and erased_at are wall clock, ms UTC.
    """

    partition: int
    before_offset: int
    requested_at: int
    erased_at: int

    @property
    def rank(self) -> tuple[int, int]:
        """Of two erasures of a key the higher holds: the one that voids more, of equals the later."""
        return self.before_offset, self.requested_at


encode_erasure = msgspec.json.Encoder().encode
decode_erasure = msgspec.json.Decoder(Erasure).decode
