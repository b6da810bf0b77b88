"""Keys made and revoked by an operator, each with its line in the audit log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from inference.api.access.audit import AuditLine, write_audit
from inference.api.access.keys import KeyRecord, KeyStore, NewKey, Scope
from inference.errors import ApiKeyError


async def create_key(
    keys: KeyStore,
    home: Path,
    store: str,
    scopes: Sequence[Scope],
    *,
    rate: float,
    burst: float,
    note: str,
) -> NewKey:
    """Make a key; one that the audit log in `home` cannot name does not come into use.

    Raises:
        ApiKeyError: the audit log cannot be written; the key is revoked again.
        OnlineStoreError: the store does not answer.
    """
    new = await keys.create(store, scopes, rate=rate, burst=burst, note=note)
    try:
        await _audit(home, "create_key", new.record)
    except OSError as error:
        await keys.revoke(new.record.id)
        raise ApiKeyError(f"the audit log cannot be written, so no key was made: {error}") from error
    return new


async def revoke_key(keys: KeyStore, home: Path, key_id: str) -> KeyRecord:
    """Revoke a key. It is revoked first: a full disk must not keep a stolen key alive.

    Raises:
        ApiKeyError: there is no such key, or it is revoked and the audit log does not say so.
        OnlineStoreError: the store does not answer.
    """
    record = await keys.revoke(key_id)
    try:
        await _audit(home, "revoke_key", record)
    except OSError as error:
        raise ApiKeyError(f"key {key_id} is revoked, but the audit log cannot be written: {error}") from error
    return record


async def _audit(home: Path, action: str, record: KeyRecord) -> None:
    now = time.time_ns() // 1_000_000
    line = AuditLine(at=now, action=action, store=record.store, key=record.id, scopes=tuple(record.scopes))
    await asyncio.to_thread(write_audit, home, line)
