"""Making, listing and revoking keys: each change is in the online store and on the topic of keys."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from feature_store.online.client import AsyncStore, store_answers
from inference.api.access.key_log import KeyLog, KnownKeys
from inference.api.access.keys import (
    KeyRecord,
    Scope,
    check_published,
    decode_key,
    digest_of,
    encode_key,
    now_ms,
    record_name,
)
from inference.errors import ApiKeyError

_INDEX: Final = "simpersona-api:keys"


class NewKey(NamedTuple):
    """A key that was just made; `token` is shown once and kept nowhere."""

    token: str
    record: KeyRecord


class KeyRegister:
    """The keys of an installation. Where the store and the topic differ, `restore` makes them agree.

    Its methods raise OnlineStoreError, TopicError and ProducerError where a server does not answer.
    """

    def __init__(self, redis: AsyncStore, log: KeyLog) -> None:
        self._redis, self._log = redis, log

    async def create(
        self,
        store: str,
        scopes: Sequence[Scope],
        *,
        rate: float,
        burst: float,
        note: str = "",
        origins: Sequence[str] = (),
    ) -> NewKey:
        """Make a key and keep its record. origins: as `inference.api.access.pages.parse_origin` writes them.

        Raises:
            ApiKeyError: a key with origins may do more than send.
        """
        check_published(store, scopes, origins)
        key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        record = KeyRecord(
            id=key_id,
            store=store,
            scopes=tuple(scopes),
            digest=digest_of(secret),
            rate=rate,
            burst=burst,
            note=note,
            created_at=now_ms(),
            origins=tuple(origins),
        )
        await asyncio.to_thread(self._log.write, [record])
        await self._store(record)
        return NewKey(f"sp_{key_id}_{secret}", record)

    async def all(self) -> list[KeyRecord]:
        """Every key that was ever made, oldest first; revoked where the store or the topic says so."""
        known = _merged(await asyncio.to_thread(self._log.read), await self._stored())
        return sorted(known.by_id.values(), key=lambda record: (record.created_at, record.id))

    async def revoke(self, key_id: str) -> KeyRecord:
        """End a key; a second time changes nothing. The store is first: it answers the next request, also
        while Kafka is away.

        Raises:
            ApiKeyError: there is no such key.
        """
        with store_answers():
            row = await self._redis.get(record_name(key_id))
        if row is None:
            record = (await asyncio.to_thread(self._log.read)).by_id.get(key_id)
        else:
            record = decode_key(row)
        if record is None:
            raise ApiKeyError(f"there is no key {key_id!r}; `simpersona keys list` shows them")
        if record.revoked_at is None:
            record = msgspec.structs.replace(record, revoked_at=now_ms())
        await self._store(record)
        await asyncio.to_thread(self._log.write, [record])
        return record

    async def restore(self) -> list[KeyRecord]:
        """Make the store and the topic agree; returns the keys that were not the same in both."""
        stored = {record.id: record for record in await self._stored()}
        on_topic = await asyncio.to_thread(self._log.read)
        changed = [
            record
            for record in _merged(on_topic, stored.values()).by_id.values()
            if not record == stored.get(record.id) == on_topic.by_id.get(record.id)
        ]
        for record in changed:
            await self._store(record)
        await asyncio.to_thread(self._log.write, changed)
        return changed

    async def _stored(self) -> list[KeyRecord]:
        with store_answers():
            ids = [raw.decode() for raw in await self._redis.smembers(_INDEX)]
            rows = [await self._redis.get(record_name(key_id)) for key_id in ids]
        return [decode_key(row) for row in rows if row is not None]

    async def _store(self, record: KeyRecord) -> None:
        with store_answers():
            await self._redis.set(record_name(record.id), encode_key(record))
            await self._redis.sadd(_INDEX, record.id)


def _merged(on_topic: KnownKeys, stored: Iterable[KeyRecord]) -> KnownKeys:
    """What holds: the topic's record, and a revocation wherever it stands."""
    merged = KnownKeys()
    for record in on_topic.by_id.values():
        merged.add(record)
    for record in stored:
        if record.id not in merged.by_id or record.revoked_at is not None:
            merged.add(record)
    return merged
