"""Ending erasures when nothing from before them can be read any more (docs/adr/0033).

The archiver does it: there is one per archive, and it alone knows what its files hold.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import structlog

from feature_store.contract.erasure import Erasure
from feature_store.contract.events import record_key
from feature_store.errors import LogError, OnlineStoreError
from feature_store.log.erasure_writer import ErasureWriter
from feature_store.log.erasures import ErasureLog
from feature_store.log.reader import LogReader
from feature_store.log.topics import begin_offsets
from feature_store.online.encoding import Progress
from streams.control import Erase, decode_command
from streams.erasures.remains import Lives

log = structlog.get_logger(__name__)

_EVERY_S: Final = 3600.0


class Trimmer:
    """Writes tombstones for erasures that are of no use any more, every so often."""

    def __init__(
        self,
        kafka: Mapping[str, Any],
        writer: ErasureWriter,
        lives: Lives,
        progress_of: Callable[[Sequence[int]], Mapping[int, Progress | None]],
    ) -> None:
        """progress_of: what the online store says of partitions; it may raise OnlineStoreError."""
        self._kafka, self._writer, self._lives, self._progress_of = kafka, writer, lives, progress_of
        self._next = 0.0

    def turn(self, erasures: ErasureLog, archived: Mapping[int, int]) -> int:
        """Trim if it is time; returns how many. archived: how far the files go, a next offset per partition;
        of `erasures`, which were read to their end just now, nothing void may be left in them.

        A server that does not answer does no harm: there is another time.
        """
        if time.monotonic() < self._next:
            return 0
        self._next = time.monotonic() + _EVERY_S
        try:
            return self._trim(erasures, archived)
        except (LogError, OnlineStoreError) as error:
            log.warning("not_trimmed", error=str(error))
            return 0

    def _trim(self, erasures: ErasureLog, archived: Mapping[int, int]) -> int:
        self._writer.write(erasures.overwritten)
        patience_ms = self._lives.patience_ms()
        if patience_ms is None:
            return 0
        old = time.time_ns() // 1_000_000 - patience_ms
        aged = {k: it for k, it in erasures.by_key.items() if it.erased_at is not None and it.erased_at < old}
        if not aged:
            return 0
        ended = trimmable(aged, self._readable_from(archived), self._commanded())
        self._writer.trim(ended)
        # Another erasure of the buyer may have come in between: its record goes after the tombstone again.
        erasures.refresh()
        self._writer.write(erasures.overwritten)
        if ended:
            log.info("erasures_trimmed", buyers=len(ended))
        return len(ended)

    def _readable_from(self, archived: Mapping[int, int]) -> dict[int, int]:
        """Of each partition the offset below which nothing is left: in the topic, the store, the archive."""
        numbers = list(archived)
        begins = begin_offsets(self._kafka, self._lives.events, numbers)
        stored = self._progress_of(numbers)
        folded = {number: 0 if at is None else at.next_offset for number, at in stored.items()}
        return {number: min(begins[number], folded[number], archived[number]) for number in numbers}

    def _commanded(self) -> set[bytes]:
        """Buyers whom a command on the control topic asks to erase: a worker that starts hears it again."""
        keys = set()
        with LogReader(dict(self._kafka)) as reader:
            for messages in reader.read(self._lives.control, 0):
                for message in messages:
                    try:
                        command = decode_command(message.value())
                    except msgspec.MsgspecError:
                        continue
                    if isinstance(command, Erase):
                        keys.add(record_key(command.store, command.buyer))
        return keys


def trimmable(
    aged: Mapping[bytes, Erasure], readable_from: Mapping[int, int], commanded: set[bytes]
) -> dict[bytes, Erasure]:
    """Those erasures of which nothing before can be read, and that no command asks for again; who has opted
    out stays so."""
    return {
        key: erasure
        for key, erasure in aged.items()
        if erasure.before_offset <= readable_from.get(erasure.partition, 0)
        and key not in commanded
        and not erasure.is_opted_out
    }
