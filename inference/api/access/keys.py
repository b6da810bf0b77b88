"""API keys: of one store, or an operator's of all; with scopes, hashed at rest, revoked at once.

A key is `sp_<id>_<secret>`: the id finds the record, the secret (256 random bits) proves it. At rest there
is its SHA-256 alone. That is enough: a slow hash (bcrypt, argon2) protects guessable passwords, and 2^256
secrets cannot be guessed, while every request would pay for the slowness. Records live in the online store
and are read for every request, so a revocation holds everywhere from the next request on. They are on a topic
too (inference.api.access.key_log), so that no backup of the store brings a revoked key back.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import hmac
import re
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from redis.exceptions import NoScriptError

from feature_store.online.client import AsyncStore, store_answers
from inference.errors import ApiKeyError

_KEY: Final = re.compile(r"sp_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
ALL_STORES: Final = "*"
"""The store of an operator's key, which is of every store (the demo's, a dashboard's)."""
_NOBODY: Final = "0" * 64
_SHOPPER_RATE: Final = 2.0
_SHOPPER_BURST: Final = 20.0
"""Requests of one shopper's page with a token: per second, and at once."""

# A bucket of `burst` tokens filled at `rate` a second. A request passes while there is one token (`least`)
# and takes `cost`, into debt if need be: so a batch larger than the bucket is possible, and paid for
# afterwards. What a request turned out to cost is taken in any case (`least` of minus infinity): the work
# is done. A bucket is forgotten when it would be full again.
_BUCKET: Final = """
local function take(bucket, rate, burst, cost, least)
  local t = redis.call('TIME')
  local now = t[1] * 1000 + t[2] / 1000
  local kept = redis.call('HMGET', bucket, 'at', 'tokens')
  local tokens = burst
  if kept[1] then tokens = math.min(burst, tonumber(kept[2]) + (now - tonumber(kept[1])) * rate / 1000) end
  if tokens < least then return math.ceil((least - tokens) * 1000 / rate) end
  tokens = tokens - cost
  redis.call('HSET', bucket, 'at', string.format('%.3f', now), 'tokens', string.format('%.6f', tokens))
  redis.call('PEXPIRE', bucket, math.ceil((burst - tokens) * 1000 / rate) + 1000)
  return 0
end
"""
# For a shopper's token: the record of the key that made it, and a bucket of that shopper's own.
_ADMIT_SHOPPER: Final = (
    _BUCKET
    + """
local kept = redis.call('GET', KEYS[1])
if not kept then return {false, 0} end
return {kept, take(KEYS[2], tonumber(ARGV[1]), tonumber(ARGV[2]), 1, 1)}
"""
)
_CHARGE: Final = (
    _BUCKET + "return take(KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), -math.huge)"
)
# Record and bucket in one round trip. Only who has the secret takes from the bucket. Lua 5.1 compares strings
# by their address, in constant time; whether the key holds is decided by the caller all the same.
_ADMIT: Final = (
    _BUCKET
    + """
local kept = redis.call('GET', KEYS[1])
if not kept then return {false, 0} end
local key = cjson.decode(kept)
if key.digest ~= ARGV[1] or key.revoked_at ~= cjson.null then return {kept, 0} end
return {kept, take(KEYS[2], key.rate, key.burst, tonumber(ARGV[2]), 1)}
"""
)


class Scope(enum.StrEnum):
    """What a key may do in its store."""

    EVENTS_WRITE = "events:write"
    PERSONAS_READ = "personas:read"
    STREAM_READ = "stream:read"
    BUYERS_ERASE = "buyers:erase"
    REFUSED_READ = "refused:read"
    """What was refused of the store's events, with examples that hold no value."""
    HISTORY_READ = "history:read"
    """What was assigned of a buyer at any moment, why, and from which events."""
    OPERATION_READ = "operation:read"
    """How the installation does: of all its stores together, so not for a single shop."""
    TOKENS_CREATE = "tokens:create"
    """Tokens that let one shopper's page read that shopper's persona for some minutes."""


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is kept: digest is the SHA-256 of the secret (hex); times are ms UTC.

    rate (tokens per second, see docs/feeds.md) and burst are of the key's bucket. origins: of a published
    key, which stands in pages of these origins and may do nothing but send; a server's key has none.
    """

    id: str
    store: str
    scopes: tuple[Scope, ...]
    digest: str
    rate: float
    burst: float
    note: str
    created_at: int
    revoked_at: int | None = None
    origins: tuple[str, ...] = ()

    @property
    def holder(self) -> str:
        """Whose share of this process a request of the key takes: the store's servers, or the store's pages,
        which anybody can flood."""
        return pages_of(self.store) if self.origins else self.store


def pages_of(store: str) -> str:
    """The name of a store's pages, which no store can have."""
    return f"{store}|pages"


def check_published(store: str, scopes: Sequence[Scope], origins: Sequence[str]) -> None:
    """Refuse a key for pages that may do more than send one store's events: whoever opens a page has it.

    Raises:
        ApiKeyError: it may do more.
    """
    if origins and (store == ALL_STORES or set(scopes) != {Scope.EVENTS_WRITE}):
        raise ApiKeyError(
            f"a key with origins is published in pages, so it is of one store and has the scope "
            f"{Scope.EVENTS_WRITE} alone; make another key for anything else"
        )


encode_key = msgspec.json.Encoder().encode
decode_key = msgspec.json.Decoder(KeyRecord).decode


def now_ms() -> int:
    """Wall clock, ms UTC."""
    return time.time_ns() // 1_000_000


def record_name(key_id: str) -> str:
    """Where the online store keeps a key's record."""
    return f"simpersona-api:{{{key_id}}}:key"


def _bucket_key(key_id: str) -> str:
    return f"simpersona-api:{{{key_id}}}:bucket"


class KeyStore:
    """Checks the keys of requests against the online store, and against what else knows of revocations."""

    def __init__(self, redis: AsyncStore, is_revoked: Callable[[str], bool]) -> None:
        """is_revoked: whether a key (its id) was revoked, whatever the store says."""
        self._redis, self._is_revoked = redis, is_revoked

    async def check(self, token: str) -> KeyRecord | None:
        """The record of a key that holds now, or None: malformed, unknown, wrong or revoked.

        Raises:
            OnlineStoreError: the store does not answer.
        """
        parts = _KEY.fullmatch(token)
        if parts is None or self._is_revoked(parts[1]):
            return None
        with store_answers():
            row = await self._redis.get(record_name(parts[1]))
        return _if_it_holds(row, digest_of(parts[2]))

    async def admit(self, token: str, cost: float = 1) -> tuple[KeyRecord | None, float]:
        """`check`, and `cost` taken from the bucket of a key that holds: 0, or seconds to wait.

        Raises:
            OnlineStoreError: the store does not answer.
        """
        parts = _KEY.fullmatch(token)
        if parts is None or self._is_revoked(parts[1]):
            return None, 0.0
        digest = digest_of(parts[2])
        row, wait_ms = await self._run(
            _ADMIT, [record_name(parts[1]), _bucket_key(parts[1])], digest, str(cost)
        )
        return _if_it_holds(row, digest), float(wait_ms) / 1000

    async def admit_shopper(self, key_id: str, buyer: str) -> tuple[KeyRecord | None, float]:
        """The record of the key that made a shopper's token, if it holds, and one token taken from the
        bucket of this shopper: 0, or seconds to wait. buyer: the pseudonym.

        Raises:
            OnlineStoreError: the store does not answer.
        """
        if self._is_revoked(key_id):
            return None, 0.0
        keys = [record_name(key_id), f"simpersona-api:{{{key_id}}}:shopper:{buyer}"]
        row, wait_ms = await self._run(_ADMIT_SHOPPER, keys, str(_SHOPPER_RATE), str(_SHOPPER_BURST))
        record = None if row is None else decode_key(row)
        return (record if record is not None and record.revoked_at is None else None), float(wait_ms) / 1000

    async def charge(self, record: KeyRecord, cost: float) -> None:
        """Take `cost` from the key's bucket, into debt if need be: of a request that was let in.

        Raises:
            OnlineStoreError: the store does not answer.
        """
        await self._run(_CHARGE, [_bucket_key(record.id)], str(record.rate), str(record.burst), str(cost))

    async def _run(self, script: str, keys: Sequence[str], *arguments: str) -> Any:
        with store_answers():
            try:
                return await self._redis.evalsha(_sha(script), len(keys), *keys, *arguments)
            except NoScriptError:  # the server was restarted, or this is its first script
                return await self._redis.eval(script, len(keys), *keys, *arguments)


def _if_it_holds(row: bytes | None, digest: str) -> KeyRecord | None:
    record = None if row is None else decode_key(row)
    right = hmac.compare_digest(digest, _NOBODY if record is None else record.digest)
    return record if right and record is not None and record.revoked_at is None else None


@functools.cache
def _sha(script: str) -> str:
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()


def digest_of(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()
