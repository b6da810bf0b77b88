"""Saying personas without an event: at the end of a session, and of those of another codebook version.

After a swap the next event of a buyer is tagged by the new version anyway. Who has no next event is
found here: a walk over the partition's rows, some at a time. Who is still to be done is read from
the rows themselves (the version in a state row, and in a persona row), so any owner can go on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray

from feature_store.fold.vectors import vectors
from feature_store.online.assignment import Reason, codebook_version_of
from feature_store.online.encoding import unpack_row
from feature_store.online.rows import OnlineRows
from inference.encoders.encoder import Encoding, put
from streams.live.announce import Announcer, ToAssign
from streams.live.buyers import Buyers
from streams.live.clock import Clock
from streams.live.partition import Partition
from streams.live.swap.champion import Champion
from streams.live.swap.duty_cycle import DutyCycle
from streams.live.unreadable_rows.naming import naming
from streams.metrics import WorkerMetrics

log = structlog.get_logger(__name__)


class Reannouncer:
    """Says again, of the cache's buyers, what the champion thinks of their present states."""

    def __init__(
        self,
        buyers: Buyers,
        rows: OnlineRows,
        champion: Champion,
        announcer: Announcer,
        metrics: WorkerMetrics,
        share: float,
        clock: Clock,
    ) -> None:
        self._buyers, self._rows, self._champion = buyers, rows, champion
        self._announcer, self._metrics = announcer, metrics
        self._time = DutyCycle(share, clock.monotonic)

    # ---- session ends

    def end_sessions(self, partition: Partition, keys: Sequence[bytes]) -> None:
        """Say once more, with reason session_end, who these buyers of a partition were.

        Raises:
            OnlineStoreError, EncoderUnavailableError, ProducerError: see Tagger.tag.
        """
        slots = self._buyers.of(partition.number, keys)
        slots = slots[self._buyers.cache.events(slots) > 0]
        self._say(partition, slots, self._last_encoding(slots), "session_end")

    def _last_encoding(self, slots: NDArray[np.int64]) -> Encoding:
        """What the encoder says of these states; asked only where it was not since they last changed."""
        cache = self._buyers.cache
        known = cache.last_encoding(slots)
        unasked = np.isnan(known.distance) | ~cache.is_of(self._champion.version, slots)
        if unasked.any():
            fresh = self._encode(slots[unasked])
            put(known, np.flatnonzero(unasked), fresh)
        return known

    # ---- another codebook version

    def walk(self, partitions: Mapping[int, Partition]) -> None:
        """Tag a few more buyers of another version anew, if the share of time allows.

        Raises:
            OnlineStoreError, EncoderUnavailableError, ProducerError: see Tagger.tag.
        """
        waiting = [p for p in partitions.values() if not p.tag_as.all_of_them]
        self._metrics.reencode_partitions.set(len(waiting))
        # A version is claimed in the store before anything is assigned under it.
        ready = next((p for p in waiting if p.tagged == p.tag_as), None)
        if ready is None or self._time.wait_s:
            return
        with self._time.spend():
            cursor, rows = self._rows.scan_states(ready.number, ready.walked)
            self._retag(ready, rows)
            ready.walked = cursor
        if cursor == 0:
            ready.tag_as = ready.tag_as._replace(all_of_them=True)  # true with the next checkpoint
            log.info("reencoded", partition=ready.number, version=ready.tag_as.version)

    def _retag(self, partition: Partition, rows: Sequence[tuple[bytes, bytes]]) -> None:
        stale = self._stale(partition.number, rows)
        cache = self._buyers.cache
        self._buyers.take(partition.number, [pair for pair in stale if pair[0] not in cache.slots])
        slots = cache.slots_of([key for key, _ in stale])
        slots = slots[cache.is_assigned(slots)]  # who was read and found erased has none
        if not len(slots):
            return
        fresh = self._encode(slots)
        self._say(partition, slots, fresh, "swap")
        cache.assign_anew(slots, fresh, self._champion.version)
        partition.retagged = True
        self._metrics.reencoded.inc(len(slots))

    def _stale(self, number: int, rows: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Those of (key, state row) whose state or persona was last assigned under another version.

        A persona row can be of another version alone: an owner in between assigned it and died before its
        checkpoint. Then the state row's owner would find nothing changed, and never mend it.
        """
        cache, version = self._buyers.cache, self._champion.version
        personas = self._rows.read_personas({number: [key for key, _ in rows]}).get(number, [])
        stale = []
        for (key, row), persona in zip(rows, personas, strict=True):
            if key in cache.slots:
                slot = cache.slots_of([key])
                is_assigned, is_mine = bool(cache.is_assigned(slot)[0]), bool(cache.is_of(version, slot)[0])
            else:
                with naming(number, "state row", key):
                    header = unpack_row(row)[0]
                is_assigned, is_mine = header.code >= 0, header.version == version
            # Who was never tagged, from a backfill, has nothing to be announced.
            if is_assigned and not (is_mine and self._is_mine(persona)):
                stale.append((key, row))
        return stale

    def _is_mine(self, persona: bytes | None) -> bool:
        if persona is None:
            return False
        try:
            return codebook_version_of(persona) == self._champion.name
        except msgspec.MsgspecError:  # damaged: written anew, like one of another version
            return False

    # ---- both

    def _encode(self, slots: NDArray[np.int64]) -> Encoding:
        cache = self._buyers.cache
        stores = (key.decode().partition("|")[0] for key in cache.keys_of(slots))
        return self._champion.encode(vectors(cache.states, slots), stores)

    def _say(
        self, partition: Partition, slots: NDArray[np.int64], encoding: Encoding, reason: Reason
    ) -> None:
        cache = self._buyers.cache
        to_assign = ToAssign(
            slots, cache.last_offsets(slots), cache.events(slots), cache.last_times(slots), encoding
        )
        owned = {partition.number: partition}
        self._announcer.assign(self._champion.encoder, owned, to_assign, [reason] * len(slots))
