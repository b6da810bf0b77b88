"""Dead letters of the clickstream by reason, field and sender; those of erased buyers are left out."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from confluent_kafka import Consumer, Message, TopicPartition

from feature_store.contract.erasure import Erasures
from feature_store.contract.events import record_key
from feature_store.contract.names import is_name
from feature_store.log.clients import lone_consumer
from feature_store.log.reader import SILENCE_S, Ranges, translated
from feature_store.log.topics import partition_count
from feature_store.online.refusals import field_named
from ops.refusals.redaction import redacted, redacted_sentence
from ops.replay.dead_letters import is_void
from streams.dead_letters import DeadLetter, decode_dead_letter

_MOST_GROUPS: Final = 500
_BATCH: Final = 1_000


class LetterGroup(msgspec.Struct, kw_only=True):
    """Letters of one reason and field from one store.

    store: what the record says, null where it does not parse or says none. first, last: when the letters
    were written, ms UTC. detail and example are of the last one, without values.
    """

    reason: str
    field: str | None
    store: str | None
    count: int
    first: int
    last: int
    detail: str
    example: str


class LetterTally(msgspec.Struct, kw_only=True):
    """read: letters looked at. erased: of these, letters of erased buyers, of which nothing is told.

    older: letters before these that were not looked at.
    """

    read: int = 0
    erased: int = 0
    older: int = 0
    groups: list[LetterGroup] = []


def read_letters(
    kafka: Mapping[str, Any],
    dead_letters_topic: str,
    erasures: Erasures,
    *,
    since: int,
    store: str | None = None,
    newest: int | None = None,
) -> LetterTally:
    """Count the letters written since a moment (ms UTC), up to the topic's present end.

    store: only of this one; None: of all, and those that name none. newest: look at no more of each
    partition.

    Raises:
        TopicError: there is no such topic, or Kafka does not answer.
    """
    consumer = lone_consumer(kafka, "simpersona-dead-letters")
    try:
        with translated(dead_letters_topic):
            starts, ends, older = _bounds(
                consumer, dead_letters_topic, partition_count(kafka, dead_letters_topic), since, newest
            )
        letters = Letters(erasures, store)
        for messages in Ranges(consumer, dead_letters_topic, starts, ends, _BATCH):
            letters.add(messages)
    finally:
        consumer.close()
    return letters.counted(older)


def _bounds(
    consumer: Consumer, topic: str, partitions: int, since: int, newest: int | None
) -> tuple[dict[int, int], dict[int, int], int]:
    asked = [TopicPartition(topic, number, since) for number in range(partitions)]
    starts, ends, older = {}, {}, 0
    for found in consumer.offsets_for_times(asked, timeout=SILENCE_S):
        low, high = consumer.get_watermark_offsets(found, timeout=SILENCE_S)
        first = max(found.offset, low) if found.offset >= 0 else high  # negative: none is as young
        start = first if newest is None else max(first, high - newest)
        starts[found.partition], ends[found.partition] = start, high
        older += start - first
    return starts, ends, older


class Letters:
    """Counts letters, within bounds."""

    def __init__(self, erasures: Erasures, store: str | None) -> None:
        self._erasures, self._store = erasures, store
        self._groups: dict[tuple[str, str, str | None], LetterGroup] = {}
        self._read = self._erased = 0

    def add(self, messages: Iterable[Message]) -> None:
        """Count messages of the topic of dead letters."""
        for message in messages:
            try:
                letter = decode_dead_letter(message.value() or b"")
            except msgspec.DecodeError:
                continue
            raw = _raw(letter)
            store, buyer = _sender(raw)
            if self._store is not None and store != self._store:
                continue
            self._read += 1
            if self._is_of_erased(letter, message.key(), store, buyer):
                self._erased += 1
            else:
                self._count(letter, raw, store, message.timestamp()[1])

    def counted(self, older: int) -> LetterTally:
        """What was counted, the most frequent first."""
        groups = sorted(self._groups.values(), key=lambda group: -group.count)
        return LetterTally(read=self._read, erased=self._erased, older=older, groups=groups)

    def _is_of_erased(
        self, letter: DeadLetter, key: bytes | None, store: str | None, buyer: str | None
    ) -> bool:
        named = [key] if key else []
        if store is not None and buyer is not None:
            named.append(record_key(store, buyer))
        return any(is_void(letter, self._erasures.by_key.get(one)) for one in named)

    def _count(self, letter: DeadLetter, raw: bytes, store: str | None, at: int) -> None:
        field = field_named(letter.detail) or None
        name = (letter.reason, field or "", store)
        if name not in self._groups and len(self._groups) >= _MOST_GROUPS:
            name, store = (letter.reason, field or "", None), None
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = LetterGroup(
                reason=letter.reason,
                field=field,
                store=store,
                count=0,
                first=at,
                last=at,
                detail="",
                example="",
            )
        group.count += 1
        group.first = min(group.first, at)
        if at >= group.last:
            group.last = at
            group.detail, group.example = redacted_sentence(letter.detail), redacted(raw)


def _raw(letter: DeadLetter) -> bytes:
    try:
        return base64.b64decode(letter.raw_base64, validate=True)
    except binascii.Error:
        return b""


def _sender(raw: bytes) -> tuple[str | None, str | None]:
    """The store and the buyer that a record names, whatever else is wrong with it."""
    try:
        record = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None, None
    if not isinstance(record, dict):
        return None, None
    store, buyer = record.get("store"), record.get("buyer")
    return (
        store if isinstance(store, str) and is_name(store) else None,
        buyer if isinstance(buyer, str) else None,
    )
