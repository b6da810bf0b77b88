"""What an erasure is: the request in the log that it erases, its record, and who was erased (docs/adr/0033).

A withdrawal of consent is an erasure that stays: what comes after it is void too, until a record gives
consent again. That record is an erasure as well, so a new life begins after it (docs/adr/0061).

A request is a record of the clickstream itself, in the buyer's partition: their key, no value, and the header
simpersona-erase. Everything of the key before it is void. So the log says where an erasure holds, and no
reader can choose another place. The compacted topic simpersona-erasures says the same by key, for readers
that do not read the clickstream, or not yet as far.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple

import msgspec

ERASE_HEADER: Final = "simpersona-erase"
TRIM_HEADER: Final = "simpersona-trimmed"
FOR_EVER: Final = 2**63 - 1
"""Above every offset."""

Consent = Literal["withdrawn", "given"]


class ErasureRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the header of a request says: when it was asked for (ms UTC), and its id in the audit log.

    consent: what the shopper decided; None: nothing, this erases and leaves their consent as it is.
    """

    requested_at: int
    request: str | None = None
    consent: Consent | None = None

    def headers(self) -> list[tuple[str, bytes]]:
        """The headers of the record that asks."""
        return [(ERASE_HEADER, msgspec.json.encode(self))]

    def at(self, partition: int, offset: int) -> Erasure:
        """The erasure that this request is, where the log has put it."""
        return Erasure(
            partition=partition,
            before_offset=offset + 1,
            requested_at=self.requested_at,
            request=self.request,
            consent=self.consent,
        )


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the topic simpersona-erasures, keyed store|buyer.

    before_offset: events of the key below it, in partition `partition` of the clickstream, are void: the
    offset after the request's own. requested_at and erased_at are wall clock, ms UTC; erased_at is null
    until a worker has come to the request. request: its id in the audit log. consent: "withdrawn": what
    comes after is void too. "given": it was withdrawn before, and what comes after counts again.
    """

    partition: int
    before_offset: int
    requested_at: int
    erased_at: int | None = None
    request: str | None = None
    consent: Consent | None = None

    @property
    def is_opted_out(self) -> bool:
        """Whether the buyer has withdrawn consent, and not given it since."""
        return self.consent == "withdrawn"

    @property
    def void_before(self) -> int:
        """Events of the key below this offset are void."""
        return FOR_EVER if self.is_opted_out else self.before_offset

    @property
    def rank(self) -> tuple[int, int, int]:
        """Of two erasures of a key the higher holds: the one that voids more, of equals the later word."""
        return self.before_offset, self.requested_at, self.erased_at or 0

    def following(self, known: Erasure | None) -> Erasure:
        """This erasure, after what was known of the buyer. Who asks for an erasure may not know that the
        buyer has opted out: they stay so. The worker that came to the request knows."""
        if known is None or not known.is_opted_out or self.consent is not None or self.erased_at is not None:
            return self
        return msgspec.structs.replace(self, consent=known.consent)

    def trim_headers(self) -> list[tuple[str, bytes]]:
        """The headers of the tombstone that ends this erasure, and none that voids more."""
        return [(TRIM_HEADER, b"%d" % self.before_offset)]


class Remainder(NamedTuple):
    """Something that is left of an erased buyer. until: ms UTC; None: no time can be told, see the note."""

    what: str
    until: int | None
    note: str


def in_words(left: Sequence[Remainder]) -> str:
    """What is left, as a text."""
    return " ".join(f"{it.what}, {_until(it.until)}: {it.note}." for it in left)


def _until(until: int | None) -> str:
    if until is None:
        return "without a time"
    return "until " + datetime.fromtimestamp(until / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


encode_erasure = msgspec.json.Encoder().encode
decode_erasure = msgspec.json.Decoder(Erasure).decode
_decode_request = msgspec.json.Decoder(ErasureRequest).decode


def request_of(message: Any) -> ErasureRequest | None:
    """The request that a record of the clickstream is; None for any other record.

    message: a confluent_kafka.Message.
    """
    if message.value() is not None:
        return None
    for name, value in message.headers() or ():
        if name == ERASE_HEADER:
            try:
                return _decode_request(value)
            except msgspec.MsgspecError:
                return None
    return None


class Erasures:
    """Who was erased, by key; of a key the erasure that holds."""

    def __init__(self) -> None:
        self.by_key: dict[bytes, Erasure] = {}
        self.overwritten: dict[bytes, Erasure] = {}
        """Erasures whose record that of an older one came after: compaction would lose them."""

    def void_before(self, key: bytes) -> int:
        """Events of the key below this offset are void; -1 where nothing was erased: history from before the
        topic has offset -1 and stays. Of who has opted out all are void."""
        erasure = self.by_key.get(key)
        return -1 if erasure is None else erasure.void_before

    def ended_before(self, key: bytes) -> int:
        """Assignments of the key below this offset are void; -1 where nothing was erased.

        Nothing is assigned after a withdrawal. So an assignment from beyond its border shows that consent was
        given again, though the record of it is not read yet.
        """
        erasure = self.by_key.get(key)
        return -1 if erasure is None else erasure.before_offset

    def opted_out(self, partition: int) -> dict[bytes, int]:
        """Who of a partition has opted out -> the offset after their last request."""
        return {
            key: it.before_offset
            for key, it in self.by_key.items()
            if it.partition == partition and it.is_opted_out
        }

    def take(self, messages: Sequence[Any]) -> dict[bytes, Erasure]:
        """Take records of the topic in; returns the erasures that void more than was known."""
        news = {}
        for message in messages:
            key, value = message.key(), message.value()
            if value is None:
                self._end(key, message.headers() or ())
                continue
            erasure = decode_erasure(value)
            known = self.by_key.get(key)
            if known is not None and erasure.before_offset < known.before_offset:
                self.overwritten[key] = known  # an owner that was slow wrote it
                continue
            self.overwritten.pop(key, None)
            if self.add(key, erasure):
                news[key] = self.by_key[key]
        return news

    def add(self, key: bytes, erasure: Erasure) -> bool:
        """Remember an erasure; returns whether it voids more than was known."""
        known = self.by_key.get(key)
        if known is not None and erasure.rank <= known.rank:
            return False
        erasure = self.by_key[key] = erasure.following(known)
        if known is None or erasure.void_before > known.void_before:
            return True
        return not erasure.is_opted_out and erasure.before_offset > known.before_offset

    def _end(self, key: bytes, headers: Sequence[tuple[str, bytes]]) -> None:
        known = self.by_key.get(key)
        if known is None:
            return
        trimmed = next((int(value) for name, value in headers if name == TRIM_HEADER), known.before_offset)
        if known.before_offset > trimmed:
            self.overwritten[key] = known
        else:
            del self.by_key[key]
