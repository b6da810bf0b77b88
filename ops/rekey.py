"""Move what is known of buyers from old keys of buyer ids to the newest (docs/adr/0052).

Each event of a buyer under an old key is sent again under the newest name, and then the old name is erased.
So the new rows are a function of the log, as all rows are, and the log says what became of the old ones.
Nothing is kept between runs: what is sent again with its times changes nothing (docs/adr/0047), so a run that
was killed is simply begun again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from feature_store.contract.erasure import Erasure, ErasureRequest
from feature_store.contract.events import Event, encode_event, record_key
from feature_store.contract.identity import BuyerHasher
from feature_store.errors import InvalidEventError
from feature_store.history.archive import archive_files, base_batches, read_archive_file
from feature_store.log.producer import Output
from feature_store.log.reader import LogReader
from feature_store.log.records import accept
from feature_store.log.topics import partition_count
from ops.connection import Connection
from ops.errors import RekeyError

_PASSES: Final = 5
"""Over a partition: the second and later ones take what arrived meanwhile."""
_ERASE_AT_ONCE: Final = 10_000


class RekeyReport(msgspec.Struct, kw_only=True):
    """buyers: that were under an old key. events: of theirs that were sent again. erased_meanwhile: of these
    buyers, those whose erasure was asked for while this ran; they were erased again."""

    buyers: int = 0
    events: int = 0
    erased_meanwhile: int = 0


def renamed(hasher: BuyerHasher, event: Event) -> Event | None:
    """The event under the newest key; None: it is already, or its buyer's name is no pseudonym of ours."""
    (newest, *older) = hasher.later(event.store, event.buyer)
    if not older:
        return None
    made_by = hasher.generation(event.buyer)
    order = event.order
    return msgspec.structs.replace(
        event,
        buyer=newest,
        event_id=hasher.later_event_id(event.store, event.event_id, made_by),
        order=None if order is None else hasher.later_event_id(event.store, order, made_by),
    )


def rekey(live: Connection, hasher: BuyerHasher, say: Callable[[str], None]) -> RekeyReport:
    """Send all history of old keys again under the newest, and erase the old names, partition by partition.

    Raises:
        RekeyError: events under an old key keep coming; part of the history is gone.
        TopicError, EventSourceError, ProducerError: history cannot be read, or Kafka does not take it.
    """
    report = RekeyReport()
    live.erasures.refresh()
    before = dict(live.erasures.by_key)
    count = partition_count(live.kafka, live.settings.topic)
    _carry_opt_outs(live, hasher, before)
    with LogReader(live.kafka) as log:
        for number in range(count):
            moved = _Partition(live, log, number, count, before, hasher).move(report)
            _erase_again(live, moved, before, report)
            report.buyers += len(moved)
            say(f"partition {number}: {len(moved)} buyers moved")
    return report


class _Partition:
    """A partition of the clickstream, moved in passes until nothing of an old key is left in it."""

    def __init__(
        self,
        live: Connection,
        log: LogReader,
        number: int,
        count: int,
        erased_before: dict[bytes, Erasure],
        hasher: BuyerHasher,
    ) -> None:
        """count: of the topic's partitions. erased_before: when this run began; what comes between is seen to
        afterwards."""
        self._live, self._log, self._number, self._count = live, log, number, count
        self._erased, self._hasher = erased_before, hasher
        self._archive, self._topic = live.home / "archive", live.settings.topic
        self._output = Output(live.kafka, live.settings.flush_timeout_s)
        self._writer = live.erasure_writer()

    def move(self, report: RekeyReport) -> dict[bytes, bytes]:
        """The Kafka keys of the buyers that were moved: old to new."""
        moved: dict[bytes, bytes] = {}
        at = 0
        for _ in range(_PASSES):
            _, end = self._log.bounds(self._topic, self._number)
            found = dict[bytes, bytes]()
            for offset, event in self._history(at, end):
                new = renamed(self._hasher, event)
                old_key = record_key(event.store, event.buyer)
                if new is None or self._is_void(old_key, offset):
                    continue
                found[old_key] = record_key(new.store, new.buyer)
                self._output.send(self._topic, found[old_key], encode_event(new))
                report.events += 1
            self._output.flush()
            if not found:
                return moved
            self._erase(list(found))
            moved |= found
            at = end
        raise RekeyError(
            f"events under an old key keep coming into partition {self._number}: restart every process that "
            "hashes buyer ids (api, events replay, senders of your own) with all keys, and run this again"
        )

    def _history(self, at: int, end: int) -> Iterator[tuple[int, Event]]:
        """(offset, event) of accepted events of offsets [at, end): as far as the archive goes, of
        it, then of the topic. At 0, the history before the topic comes first, with offset -1."""
        if at == 0:
            for base in base_batches(self._archive, self._topic, self._number):
                yield from ((-1, event) for event in base)
            for file in archive_files(self._archive, self._topic, self._number):
                if file.start != at:
                    break
                for some in read_archive_file(file.path):
                    yield from ((one.offset, one.event) for one in some)
                at = file.end
        first, _ = self._log.bounds(self._topic, self._number)
        if at < min(first, end):
            raise RekeyError(
                f"offsets {at} to {first} of partition {self._number} are neither in the archive nor on the "
                "topic, so that history cannot be moved whole; run `simpersona archive --once` where the "
                "archive is, or keep the old key until the history has expired"
            )
        for messages in self._log.read(self._topic, self._number, at, end):
            for message in messages:
                created = message.timestamp()[1]
                try:
                    event, _ = accept(message.value(), message.key(), self._number, created, self._count)
                except InvalidEventError:
                    continue  # a dead letter, or the request of an erasure
                yield message.offset(), event

    def _is_void(self, key: bytes, offset: int) -> bool:
        erasure = self._erased.get(key)
        return erasure is not None and offset < erasure.void_before

    def _erase(self, keys: Sequence[bytes]) -> None:
        for start in range(0, len(keys), _ERASE_AT_ONCE):
            asked = ErasureRequest(requested_at=time.time_ns() // 1_000_000)
            self._writer.ask(dict.fromkeys(keys[start : start + _ERASE_AT_ONCE], asked))


def _carry_opt_outs(live: Connection, hasher: BuyerHasher, known: dict[bytes, Erasure]) -> None:
    """Who has opted out under an old key does so under the newest."""
    asked = ErasureRequest(requested_at=time.time_ns() // 1_000_000, consent="withdrawn")
    wanted = {}
    for key, erasure in known.items():
        store, _, buyer = key.decode().partition("|")
        new = record_key(store, hasher.later(store, buyer)[0])
        if erasure.is_opted_out and new != key and not (new in known and known[new].is_opted_out):
            wanted[new] = asked
    live.erasure_writer().ask(wanted)


def _erase_again(
    live: Connection, moved: dict[bytes, bytes], before: dict[bytes, Erasure], report: RekeyReport
) -> None:
    """Erase the new names that somebody asked to erase while events were on their way to them."""
    live.erasures.refresh()
    again = [key for key in moved.values() if live.erasures.by_key.get(key) != before.get(key)]
    if again:
        asked = ErasureRequest(requested_at=time.time_ns() // 1_000_000)
        live.erasure_writer().ask(dict.fromkeys(again, asked))
        live.erasures.refresh()
        report.erased_meanwhile += len(again)
