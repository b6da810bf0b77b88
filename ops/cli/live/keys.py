"""`simpersona keys`: keys of the persona API."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import click

from feature_store.contract.names import NAME_RULE, is_name
from feature_store.errors import ProducerError
from feature_store.log.config import KafkaSettings, librdkafka_config
from feature_store.online.client import open_store
from feature_store.settings import HomeSettings
from inference.api.access.audit import AuditLine, read_audit, write_audit
from inference.api.access.key_log import KeyLog
from inference.api.access.keys import ALL_STORES, KeyRecord, Scope, check_published
from inference.api.access.pages import parse_origin
from inference.api.access.register import KeyRegister, NewKey
from inference.api.settings import ApiSettings
from inference.errors import ApiKeyError
from ops.cli.options import json_option
from streams.settings import WorkerSettings

T = TypeVar("T")
_PUBLISHED = (Scope.EVENTS_WRITE,)
_USUAL = (Scope.EVENTS_WRITE, Scope.PERSONAS_READ, Scope.STREAM_READ)


@click.group()
def keys() -> None:
    """Make, list and revoke keys of the persona API; each is of one store.

    Keys are kept in the online store and on a topic. Each key made or revoked is a line of audit.jsonl in the
    data folder.
    """


@keys.command()
@click.option("--store", required=True, help="The shop whose key it is; '*': an operator's key, of all.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="What it may do; several times. Default: events:write, personas:read and stream:read; with --origin "
    "events:write, and no other is possible.",
)
@click.option(
    "--origin",
    "origins",
    multiple=True,
    help="Make a key to publish in pages of this origin (https://shop.example); several times. It can send "
    "events and do nothing else. 'null': a sandboxed frame, as Shopify's custom pixels are.",
)
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Requests and events per second.")
@click.option("--burst", type=click.FloatRange(min=1), help="Requests and events at once.")
@click.option("--note", default="", help="What it is for.")
@json_option
def create(
    store: str,
    scopes: tuple[str, ...],
    origins: tuple[str, ...],
    rate: float | None,
    burst: float | None,
    note: str,
    as_json: bool,
) -> None:
    """Make a key and print it; it is shown once and kept nowhere."""
    if store != ALL_STORES and not is_name(store):
        raise click.BadParameter(f"a store is {NAME_RULE}", param_hint="--store")
    settings = ApiSettings()
    wanted = [Scope(scope) for scope in scopes or (_PUBLISHED if origins else _USUAL)]
    try:
        pages = list(dict.fromkeys(map(parse_origin, origins)))
        check_published(store, wanted, pages)
    except ApiKeyError as error:
        raise click.BadParameter(str(error), param_hint="--origin") from None
    token, record = _with_keys(
        lambda kept, home: _create_key(
            kept,
            home,
            store,
            wanted,
            rate=rate or settings.rate,
            burst=burst or settings.burst,
            note=note,
            origins=pages,
        )
    )
    if as_json:
        click.echo(json.dumps({"key": token, **_row(record)}))
    else:
        click.echo(
            f"key {record.id} of {store} ({', '.join(record.scopes)}); keep it, it is not shown again:"
        )
        click.echo(token)


@keys.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Print every key that was ever made, without its secret."""
    records = _with_keys(lambda kept, _home: kept.all())
    if as_json:
        click.echo(json.dumps({"keys": [_row(record) for record in records]}))
        return
    for record in records:
        state = _state(record)
        may = " ".join((*record.scopes, *record.origins))
        click.echo(f"{record.id}  {record.store}  {state}  {may}  {record.note}".rstrip())


@keys.command()
@click.argument("key_id", metavar="ID", required=False)
@click.option("--audited", is_flag=True, help="Every key that audit.jsonl has as revoked, but not the store.")
@json_option
def revoke(key_id: str | None, audited: bool, as_json: bool) -> None:
    """End a key; it holds nowhere from the next request on.

    With --audited, end again what an older backup of the store brought back.
    """
    if (key_id is None) is not audited:
        raise click.UsageError("name one key, or say --audited")
    if key_id is None:
        ended = _with_keys(_revoke_audited)
        rows: object = {"revoked": [_row(record) for record in ended]}
    else:
        ended = [_with_keys(lambda kept, home: _revoke_key(kept, home, key_id))]
        rows = _row(ended[0])
    if as_json:
        click.echo(json.dumps(rows))
        return
    for record in ended:
        click.echo(f"key {record.id} of {record.store} is revoked")
    if not ended:
        click.echo("every key that audit.jsonl has as revoked is revoked in the store")


@keys.command()
@json_option
def restore(as_json: bool) -> None:
    """Make the online store and the topic of keys agree, after an older backup of the store came back.

    Keys that were made since hold again; keys that were revoked on either side are revoked on both.
    """
    changed = _with_keys(lambda kept, _home: kept.restore())
    if as_json:
        click.echo(json.dumps({"restored": [_row(record) for record in changed]}))
        return
    for record in changed:
        click.echo(f"key {record.id} of {record.store} {_state(record)}")
    if not changed:
        click.echo("the online store and the topic have the same keys")


async def _create_key(
    keys: KeyRegister,
    home: Path,
    store: str,
    scopes: Sequence[Scope],
    *,
    rate: float,
    burst: float,
    note: str,
    origins: Sequence[str],
) -> NewKey:
    """Make a key; one that the audit log in `home` cannot name does not come into use.

    Raises:
        ApiKeyError: the audit log cannot be written; the key is revoked again.
        OnlineStoreError: the store does not answer.
    """
    new = await keys.create(store, scopes, rate=rate, burst=burst, note=note, origins=origins)
    try:
        await _audit(home, "create_key", new.record)
    except OSError as error:
        await keys.revoke(new.record.id)
        raise ApiKeyError(f"the audit log cannot be written, so no key was made: {error}") from error
    return new


async def _revoke_key(keys: KeyRegister, home: Path, key_id: str) -> KeyRecord:
    """Revoke a key. It is revoked first: a full disk must not keep a stolen key alive.

    Raises:
        ApiKeyError: there is no such key, or it is revoked and Kafka or the audit log does not say so.
        OnlineStoreError: the store does not answer.
    """
    try:
        record = await keys.revoke(key_id)
    except ProducerError as error:
        raise ApiKeyError(
            f"key {key_id} is revoked in the online store, but a backup would bring it back, because the "
            f"topic of keys does not have it: revoke it again when Kafka answers ({error})"
        ) from error
    try:
        await _audit(home, "revoke_key", record)
    except OSError as error:
        raise ApiKeyError(f"key {key_id} is revoked, but the audit log cannot be written: {error}") from error
    return record


async def _revoke_audited(keys: KeyRegister, home: Path) -> list[KeyRecord]:
    """Revoke the keys that hold though the audit log in `home` or the topic has them as revoked.

    Returns those of the audit log.

    Raises:
        ApiKeyError: the audit log cannot be read, or written.
        OnlineStoreError: the store does not answer.
    """
    await keys.restore()
    ended = {line.key for line in await asyncio.to_thread(read_audit, home) if line.action == "revoke_key"}
    back = [record for record in await keys.all() if record.id in ended and record.revoked_at is None]
    return [await _revoke_key(keys, home, record.id) for record in back]


async def _audit(home: Path, action: str, record: KeyRecord) -> None:
    now = time.time_ns() // 1_000_000
    line = AuditLine(
        at=now,
        action=action,
        store=record.store,
        key=record.id,
        scopes=tuple(record.scopes),
        origins=record.origins,
    )
    await asyncio.to_thread(write_audit, home, line)


def _with_keys(use: Callable[[KeyRegister, Path], Awaitable[T]]) -> T:
    async def run() -> T:
        settings = WorkerSettings()
        store = open_store(settings.store_url)
        log = KeyLog(librdkafka_config(KafkaSettings()), settings.keys_topic, settings.flush_timeout_s)
        try:
            return await use(KeyRegister(store, log), HomeSettings().home)
        finally:
            await store.aclose()

    return asyncio.run(run())


def _row(record: KeyRecord) -> dict[str, object]:
    return {
        "id": record.id,
        "store": record.store,
        "scopes": list(record.scopes),
        "origins": list(record.origins),
        "rate": record.rate,
        "burst": record.burst,
        "note": record.note,
        "created_at": record.created_at,
        "revoked_at": record.revoked_at,
    }


def _state(record: KeyRecord) -> str:
    return "holds" if record.revoked_at is None else f"revoked {_when(record.revoked_at)}"


def _when(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, tz=UTC).isoformat(timespec="seconds")
