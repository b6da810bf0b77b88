"""Send dead letters back to the clickstream once what refused them is fixed.

Progress is the committed offset of a consumer group of its own; its metadata holds, a reason, how far
letters of that reason were replayed by runs that asked for one reason alone. Offsets are committed after
Kafka has acknowledged what was sent: a run that is killed in between repeats at most its last batch, and
the fold drops what it has seen by event_id.

A letter of an erased buyer, refused before the erasure, is not sent back. Who is erased while a batch is on
its way is asked for again after it: the batch may have come behind the request.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from feature_store.contract.erasure import Erasure, ErasureRequest
from feature_store.contract.events import check_clock, check_record_size, decode_event, record_key
from feature_store.errors import InvalidEventError
from feature_store.log.clients import lone_consumer
from feature_store.log.erasure_writer import ErasureWriter
from feature_store.log.erasures import ErasureLog
from feature_store.log.reader import Ranges
from feature_store.log.topics import partition_count
from ops.replay.events import EventProducer
from streams.dead_letters import DeadLetter, decode_dead_letter
from streams.errors import ConsumerError

GROUP: Final = "simpersona-dead-letter-replay"
_BATCH: Final = 1_000
_TIMEOUT_S: Final = 15.0


class DeadLetterReport(msgspec.Struct, frozen=True, kw_only=True):
    """read: letters not replayed before. replayed: sent back. skipped: why the others were not, with counts.

    Why is a DeadLetterReason (it still breaks the contract so), truncated (the letter holds only the first
    64 KiB), corrupt (its bytes do not match its checksum), not_a_dead_letter, other_topic (it came from
    another topic than the one asked for), or erased (its buyer was erased after it).
    """

    read: int
    replayed: int
    skipped: dict[str, int]


def replay_dead_letters(
    kafka: Mapping[str, Any],
    producer: EventProducer,
    erasures: ErasureLog,
    writer: ErasureWriter,
    *,
    dead_letters_topic: str,
    topic: str,
    reason: str | None = None,
    dry_run: bool = False,
    stop: threading.Event | None = None,
) -> DeadLetterReport:
    """Send each dead letter of `topic` that now decodes back to it, keyed anew, up to the present end.

    reason: only letters of this reason; the others wait for a later run. dry_run: count, send nothing,
    commit nothing. A letter that is still refused counts as done: fix first, or try with dry_run.

    Raises:
        TopicError: there is no such topic, or Kafka does not answer.
        ConsumerError: progress cannot be read or committed.
        ProducerError: Kafka did not take an event; nothing of that batch is committed.

    A letter whose body does not parse names no buyer, and is not sent back; after a release that can parse
    it, its buyer is looked up as any other's.
    """
    consumer = lone_consumer(kafka, GROUP)  # joins no group, but its progress is that group's
    read, skipped = 0, Counter[str]()
    try:
        progress = _Progress(consumer, dead_letters_topic, partition_count(kafka, dead_letters_topic))
        for messages in progress.letters:
            if stop is not None and stop.is_set():
                break
            if not messages:
                continue
            erasures.refresh()
            sent: dict[bytes, DeadLetter | None] = {}
            for message in messages:
                letter = _letter(message)
                found = letter.reason if letter else "not_a_dead_letter"
                if (reason and found != reason) or progress.is_done(message, found):
                    continue
                read += 1
                try:
                    key, raw = _sendable(letter, topic, erasures)
                except InvalidEventError as error:
                    skipped[error.reason] += 1
                    continue
                if not dry_run:
                    producer.send(topic, key, raw)
                    sent.setdefault(key, letter)
            if not dry_run:
                producer.flush()
                _erase_again(sent, erasures, writer)
                progress.commit(reason)
    except KafkaException as error:
        raise ConsumerError(f"cannot read {dead_letters_topic}: {error}") from error
    finally:
        consumer.close()
    return DeadLetterReport(read=read, replayed=read - skipped.total(), skipped=dict(sorted(skipped.items())))


def _sendable(letter: DeadLetter | None, topic: str, erasures: ErasureLog) -> tuple[bytes, bytes]:
    """Key and value of a record that was refused and may go back.

    Raises:
        InvalidEventError: it may not.
    """
    raw = _checked(letter, topic)
    event = decode_event(raw)
    check_clock(event, time.time_ns() // 1_000_000)
    key = record_key(event.store, event.buyer)
    if is_void(letter, erasures.by_key.get(key)):
        raise InvalidEventError("erased", "the buyer was erased after this record")
    return key, raw


def is_void(letter: DeadLetter | None, erasure: Erasure | None) -> bool:
    """Whether the record that was refused came before its buyer's erasure, or is of who has opted out."""
    if letter is None or erasure is None:
        return False
    if letter.partition == erasure.partition:
        return letter.offset < erasure.void_before
    # It lay in a partition that is not the buyer's, where the request has no place: times have to do, and
    # in doubt it is void.
    return erasure.is_opted_out or (letter.created or 0) <= erasure.requested_at


def _erase_again(
    sent: Mapping[bytes, DeadLetter | None], erasures: ErasureLog, writer: ErasureWriter
) -> None:
    """Ask anew for the erasure of whom one was asked for since the batch was looked through."""
    erasures.refresh()
    late = {}
    for key, letter in sent.items():
        erasure = erasures.by_key.get(key)
        if erasure is not None and is_void(letter, erasure):
            late[key] = ErasureRequest(requested_at=erasure.requested_at, request=erasure.request)
    if late:
        writer.ask(late)


def _letter(message: Message) -> DeadLetter | None:
    try:
        return decode_dead_letter(message.value() or b"")
    except msgspec.DecodeError:
        return None


def _checked(letter: DeadLetter | None, topic: str) -> bytes:
    """The whole record that was refused.

    Raises:
        InvalidEventError: the letter does not hold it, or it belongs to another topic.
    """
    if letter is None:
        raise InvalidEventError("not_a_dead_letter", "the message is not a dead letter")
    if letter.topic != topic:
        raise InvalidEventError("other_topic", f"the record came from {letter.topic}")
    check_record_size(letter.raw_bytes)
    try:
        raw = base64.b64decode(letter.raw_base64, validate=True)
    except binascii.Error as error:
        raise InvalidEventError("corrupt", f"raw_base64 is not base64: {error}") from error
    if len(raw) < letter.raw_bytes:
        raise InvalidEventError("truncated", f"{len(raw)} of {letter.raw_bytes} bytes were kept")
    if hashlib.sha256(raw).hexdigest() != letter.raw_sha256:
        raise InvalidEventError("corrupt", "raw_sha256 does not match the kept bytes")
    return raw


class _Progress:
    """How far the letters were replayed: read once at the start, committed after each batch."""

    def __init__(self, consumer: Consumer, topic: str, partitions: int) -> None:
        self._consumer = consumer
        asked = [TopicPartition(topic, partition) for partition in range(partitions)]
        self._base: dict[int, int] = {}
        self._by_reason: dict[int, dict[str, int]] = {}
        self._end: dict[int, int] = {}
        for found in consumer.committed(asked, timeout=_TIMEOUT_S):
            low, high = consumer.get_watermark_offsets(found, timeout=_TIMEOUT_S)
            self._base[found.partition] = max(found.offset, low)
            self._by_reason[found.partition] = msgspec.json.decode(
                found.metadata or "{}", type=dict[str, int]
            )
            self._end[found.partition] = high
        self._topic = topic
        self.letters = Ranges(consumer, topic, self._base, self._end, _BATCH)
        """Those between progress and the end that each partition had at the start."""

    def is_done(self, message: Message, reason: str) -> bool:
        """Whether an earlier run for this reason alone has dealt with the letter."""
        return bool(message.offset() < self._by_reason[message.partition()].get(reason, 0))

    def commit(self, reason: str | None) -> None:
        """Everything read so far is done: for all reasons, or for the one that was asked for."""
        offsets = []
        for partition, position in self.letters.at.items():
            reached = min(position, self._end[partition])
            base, by_reason = self._base[partition], dict(self._by_reason[partition])
            if reason is None:
                base = max(base, reached)
                by_reason = {name: offset for name, offset in by_reason.items() if offset > base}
            else:
                by_reason[reason] = max(by_reason.get(reason, 0), reached)
            metadata = msgspec.json.encode(by_reason).decode()
            offsets.append(TopicPartition(self._topic, partition, base, metadata=metadata))
        for result in self._consumer.commit(offsets=offsets, asynchronous=False):
            if result.error:
                raise KafkaException(result.error)
