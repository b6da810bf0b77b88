"""Records of API keys: each under its own name, in the index, and as the topic of keys has it.

Of a key that an earlier release made, the topic has nothing: then only the values are looked at.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from feature_store.contract.names import NAME_CHARS, NAME_PATTERN
from inference.api.access.keys import ALL_STORES, KeyRecord, check_published, decode_key
from inference.api.access.pages import parse_origin
from inference.errors import ApiKeyError
from ops.verify.report import VerifyReport

_CLOCKS_MS: Final = 86_400_000
"""How far the clock of the host that made a key may be ahead of ours."""
RECORDS: Final = b"simpersona-api:{*}:key"
INDEX: Final = b"simpersona-api:keys"
_NAME: Final = re.compile(rb"simpersona-api:\{([^}]*)\}:key\Z")


def compare_api_keys(
    records: Iterable[tuple[bytes, bytes]],
    index: set[bytes],
    on_topic: Mapping[str, KeyRecord],
    now_ms: int,
    report: VerifyReport,
) -> None:
    """Look at all (name, row) of keys and at the ids of the index. on_topic: the topic's record, by id."""
    found = set()
    for name, row in records:
        report.api_keys += 1
        named = _NAME.fullmatch(name)
        key_id = named[1] if named else b""
        found.add(key_id)
        name_of = key_id.decode(errors="replace")
        if key_id not in index:
            wrong: str | None = "index"
        else:
            wrong = wrong_field(name_of, row, now_ms) or _other_field(row, on_topic.get(name_of))
        if wrong is not None:
            report.note("api_keys_wrong", f"api_key.{wrong}", f"key {name_of}")
    for key_id in (index | {key_id.encode() for key_id in on_topic}) - found:
        report.note("api_keys_wrong", "api_key.row", f"key {key_id.decode(errors='replace')}")


def _other_field(row: bytes, on_topic: KeyRecord | None) -> str | None:
    """The first field that the topic has otherwise."""
    if on_topic is None:
        return None
    stored = decode_key(row)
    fields = KeyRecord.__struct_fields__
    return next((name for name in fields if getattr(stored, name) != getattr(on_topic, name)), None)


def wrong_field(key_id: str, row: bytes, now_ms: int) -> str | None:
    """The first field that no key can have; None where all are possible."""
    try:
        key = decode_key(row)
    except msgspec.DecodeError:
        return "json"
    ends = key.created_at if key.revoked_at is None else key.revoked_at
    laws = {
        "id": key.id == key_id,
        "store": key.store == ALL_STORES or _is_name(key.store),
        "scopes": bool(key.scopes) and len(set(key.scopes)) == len(key.scopes),
        "digest": re.fullmatch(r"[0-9a-f]{64}", key.digest) is not None,
        "rate": 0 < key.rate < math.inf,
        "burst": 0 < key.burst < math.inf,
        "created_at": 0 < key.created_at <= now_ms + _CLOCKS_MS,
        "origins": not key.origins or _is_published(key),
        "revoked_at": key.created_at <= ends <= now_ms + _CLOCKS_MS,
    }
    return next((name for name, holds in laws.items() if not holds), None)


def _is_published(key: KeyRecord) -> bool:
    """Whether a key with origins names them as they are made, and may do nothing but send."""
    try:
        check_published(key.store, key.scopes, key.origins)
        return key.origins == tuple(map(parse_origin, key.origins))
    except ApiKeyError:
        return False


def _is_name(store: str) -> bool:
    return len(store) <= NAME_CHARS and re.match(NAME_PATTERN, store) is not None
