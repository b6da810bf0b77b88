"""Which erasures a sink has told of, per partition of the assignments.

The member that delivers a partition tells of the erasures of its buyers, so nothing of a buyer that was sent
before can come after. How far it has told is the metadata of the partition's committed offset: one commit
says both, and the next owner goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from feature_store.contract.erasure import Erasure
from feature_store.contract.partitions import partition_of
from feature_store.log.erasures import ErasureLog

Places = Mapping[int, int]
"""A next offset of the topic of erasures, per partition of it."""


class Erased(NamedTuple):
    """One erasure to tell of, and its record.

    id: the same whenever it is told again. partition: of the assignments. place: topic, partition, offset.
    """

    id: str
    store: str
    buyer: str
    partition: int
    key: bytes
    erasure: Erasure
    place: tuple[str, int, int]


class _Told(msgspec.Struct, frozen=True):
    """The metadata of a committed offset."""

    erasures: dict[int, int] = {}


def encode_told(places: Places) -> str:
    """How far erasures were told, as metadata of a committed offset."""
    return msgspec.json.encode(_Told(dict(places))).decode()


def decode_told(metadata: str | None) -> dict[int, int]:
    """The same back; nothing was told where there is none, or one of an earlier release."""
    try:
        return msgspec.json.decode((metadata or "").encode(), type=_Told).erasures
    except msgspec.MsgspecError:
        return {}


class KnownErasures(ErasureLog):
    """Who was erased, and where on the topic that is written."""

    def __init__(self, config: Mapping[str, Any], topic: str) -> None:
        super().__init__(config, topic)
        self._name = topic
        self.read: dict[int, int] = {}
        self._places: dict[bytes, tuple[int, int]] = {}
        self._news: list[bytes] = []

    def take(self, messages: Sequence[Any]) -> dict[bytes, Erasure]:
        """See Erasures."""
        news = super().take(messages)
        for message in messages:
            key, number, offset = message.key(), message.partition(), message.offset()
            self.read[number] = offset + 1
            if key in news:
                self._places[key] = (number, offset)
            elif key not in self.by_key:
                self._places.pop(key, None)
        self._news += news
        return news

    def hear(self) -> None:
        """Take in what has come since, without waiting for Kafka."""
        self.take(self._topic.arrived())

    def news(self) -> list[bytes]:
        """Keys whose erasure came since the last call."""
        news, self._news = self._news, []
        return news

    def place(self, key: bytes) -> tuple[str, int, int]:
        """Topic, partition and offset of the erasure of a key."""
        return (self._name, *self._places[key])

    def since(self, told: Places, keys: Iterable[bytes]) -> list[bytes]:
        """Those of the keys whose erasure is written at or after `told`."""
        found = []
        for key in keys:
            place = self._places.get(key)
            if place is not None and place[1] >= told.get(place[0], 0):
                found.append(key)
        return found


class Telling:
    """What this member has still to tell of, and how far it has told."""

    def __init__(self, erasures: KnownErasures, partitions: int, stores: frozenset[str]) -> None:
        """partitions: how many the topic of assignments has. stores: whose buyers; none: all."""
        self._erasures, self._partitions, self._stores = erasures, partitions, stores
        self._told: dict[int, dict[int, int]] = {}
        self._reach: dict[int, int] = {}
        self._untold: dict[int, dict[bytes, None]] = {}

    def begin(self, told: Mapping[int, Places]) -> None:
        """These partitions are ours now, and of their erasures so much was told."""
        if not told:
            return
        self._told |= {number: dict(places) for number, places in told.items()}
        self._untold |= {number: {} for number in told}
        # Most were told to all of them long ago; hashing their keys would take seconds.
        first = {at: min(places.get(at, 0) for places in told.values()) for at in self._erasures.read}
        self._add(self._erasures.since(first, self._erasures.by_key), told)

    def knows(self, partition: int) -> bool:
        """Whether it is ours and how far was told is known."""
        return partition in self._told

    def end(self, partitions: Iterable[int]) -> None:
        """These are another member's now."""
        for number in partitions:
            self._told.pop(number, None)
            self._untold.pop(number, None)

    def waiting(self) -> list[Erased]:
        """What is to be told, of our partitions and stores."""
        self._sort_in()
        self._reach = dict(self._erasures.read)
        found = []
        for number, keys in self._untold.items():
            for key in keys:
                erasure, (store, _, buyer) = self._erasures.by_key.get(key), key.decode().partition("|")
                if erasure is not None and (not self._stores or store in self._stores):
                    name = f"erasure-{erasure.partition}-{erasure.before_offset}"
                    place = self._erasures.place(key)
                    found.append(Erased(name, store, buyer, number, key, erasure, place))
        return found

    def done(self) -> None:
        """All that `waiting` gave last is told. What has come since is still news."""
        for number in self._told:
            self._told[number] = dict(self._reach)
            self._untold[number] = {}

    def metadata(self, partition: int) -> str:
        """What to commit with an offset of one of our partitions."""
        return encode_told(self._told[partition])

    def _sort_in(self) -> None:
        self._add(self._erasures.news(), self._told)

    def _add(self, keys: Iterable[bytes], told: Mapping[int, Places]) -> None:
        for key in keys:
            number = partition_of(key, self._partitions)
            if number in told and self._erasures.since(told[number], [key]):
                self._untold[number][key] = None
