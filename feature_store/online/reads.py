"""What the API asks of the online store: one buyer's persona and how far they came, in one round trip.

The same rows as Feast's views serve, read without Feast: it would cost ten
times the read itself.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from feature_store.contract.partitions import partition_of
from feature_store.errors import RowVersionError
from feature_store.fold.behavior import COUNTER, N_COUNTERS
from feature_store.fold.funnel import Stratum
from feature_store.online.assignment import Assignment, persona_body, read_assignment
from feature_store.online.client import store_answers
from feature_store.online.encoding import Progress, unpack_row
from feature_store.online.keys import PERSONA, PROGRESS, STATE, Keys
from feature_store.online.servers.shared import Replies, SharedStore

_ROW_START: Final = 64 + 8 * N_COUNTERS
"""Bytes of a state row that hold its header, which is shorter than 64, and the counters."""
_COUNTERS: Final = struct.Struct(f"<{N_COUNTERS}q")
_LAST_TIME: Final = COUNTER["last_time"]
_REACHED: Final[tuple[tuple[Stratum, tuple[int, ...]], ...]] = (
    ("A", (COUNTER["purchase"],)),
    ("B", (COUNTER["begin_checkout"], COUNTER["add_payment_info"])),
    ("C", (COUNTER["add_to_cart"],)),
)


class Progressed(NamedTuple):
    """From a state row: its first folded offset, and the facts of the buyer now: events, visits, the last
    event (ms), furthest stratum, whether they ever carted or bought."""

    since_offset: int
    events: int
    visits: int
    last_time: int
    stratum: Stratum
    has_carted: bool
    has_bought: bool


class BuyerRead(NamedTuple):
    """What the store holds of a buyer; None for a row that is not there."""

    persona: Assignment | None
    state: Progressed | None


class Reading(NamedTuple):
    """Rows of so many buyers on their way. replies is None where there is nothing to wait for."""

    buyers: int
    replies: Replies | None

    async def rows(self) -> list[BuyerRead]:
        """The rows, when they are there.

        Raises:
            OnlineStoreError: the store does not answer.
            RowVersionError: a row is of another release.
        """
        if self.replies is None:
            return [BuyerRead(None, None)] * self.buyers
        with store_answers():
            found = await self.replies
        pairs = zip(found[::2], found[1::2], strict=True)
        return [BuyerRead(_persona(persona), _progressed(state)) for persona, state in pairs]

    def cancel(self) -> None:
        """Nobody wants them."""
        if self.replies is not None:
            self.replies.cancel()


class BuyerReader:
    """Reads rows of buyers over the connection of an event loop."""

    def __init__(self, store: SharedStore, topic: str) -> None:
        """`topic` names the clickstream topic whose rows are read."""
        self._store, self._keys = store, Keys(topic)
        self._partitions: int | None = None

    async def begin(self, keys: Sequence[bytes]) -> Reading:
        """Ask for the rows of these Kafka keys (`store|buyer`) and do not wait: what the caller asks of the
        same connection next is in the same round trip.

        Raises:
            OnlineStoreError: the store does not answer.
        """
        partitions = self._partitions or await self.partitions()
        if partitions is None or not keys:
            return Reading(len(keys), None)
        commands: list[tuple[Any, ...]] = []
        for key in keys:
            prefix = self._keys.of(partition_of(key, partitions))
            commands += (
                ("GET", prefix + PERSONA + key),
                ("GETRANGE", prefix + STATE + key, 0, _ROW_START - 1),
            )
        return Reading(len(keys), self._store.ask(*commands))

    async def read(self, keys: Sequence[bytes]) -> list[BuyerRead]:
        """The rows of these Kafka keys, in one round trip.

        Raises:
            OnlineStoreError: the store does not answer.
            RowVersionError: a row is of another release.
        """
        return await (await self.begin(keys)).rows()

    async def folded(self, partition: int) -> int:
        """The next offset that workers have to fold of a partition.

        Raises:
            OnlineStoreError: the store does not answer.
            RowVersionError: the row is of another release.
        """
        with store_answers():
            row = await self._store.get(self._keys.of(partition) + PROGRESS)
        return 0 if row is None else Progress.from_bytes(row).next_offset

    async def ping(self) -> None:
        """Ask whether the store answers.

        Raises:
            OnlineStoreError: it does not.
        """
        with store_answers():
            await self._store.ping()

    async def partitions(self) -> int | None:
        """The recorded partition count; None while no worker has run."""
        if self._partitions is None:
            with store_answers():
                known = await self._store.get(self._keys.partition_count)
            self._partitions = None if known is None else int(known)
        return self._partitions


def _persona(row: bytes | None) -> Assignment | None:
    if row is None:
        return None
    try:
        return read_assignment(persona_body(row))
    except msgspec.MsgspecError as error:
        raise RowVersionError(f"a persona row is not one of this release: {error}") from None


def _progressed(row: bytes) -> Progressed | None:
    if not row:  # GETRANGE answers nothing for a key that is not there
        return None
    header, state = unpack_row(row)
    counters = _COUNTERS.unpack_from(state)
    reached = (name for name, columns in _REACHED if any(counters[c] > 0 for c in columns))
    stratum: Stratum = next(reached, "D")
    return Progressed(
        since_offset=header.since_offset,
        events=counters[COUNTER["events"]],
        visits=counters[COUNTER["sessions"]],
        last_time=counters[_LAST_TIME],
        stratum=stratum,
        has_carted=counters[COUNTER["add_to_cart"]] > 0,
        has_bought=counters[COUNTER["purchase"]] > 0,
    )
