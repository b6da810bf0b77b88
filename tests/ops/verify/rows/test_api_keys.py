"""Records of API keys: each field's damage is named, as far as a single record can show it."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from inference.api.access.keys import KeyRecord, Scope
from ops.verify.report import VerifyReport
from ops.verify.rows.api_keys import compare_api_keys

NOW: Final = 1_763_900_000_000
KEY: Final = KeyRecord(
    id="0123456789ab",
    store="acme",
    scopes=(Scope.EVENTS_WRITE,),
    digest="ab" * 32,
    rate=10.0,
    burst=20.0,
    note="",
    created_at=NOW - 1_000,
    revoked_at=NOW - 500,
)
NAME: Final = b"simpersona-api:{0123456789ab}:key"
WRONG: Final[dict[str, Any]] = {
    "id": "0123456789ac",
    "store": "a b",
    "scopes": [],
    "digest": "ab" * 31 + "xy",
    "rate": 0,
    "burst": -1,
    "created_at": 0,
    "revoked_at": NOW - 1_001,
    "origins": ["https://shop.example/path"],
}
NOT_PROVABLE: Final = {"note"}
"""Free text, where the topic has nothing of the key."""
OTHER: Final[dict[str, Any]] = {
    "store": "bravo",
    "scopes": [Scope.PERSONAS_READ],
    "digest": "cd" * 32,
    "rate": 11.0,
    "burst": 21.0,
    "note": "another",
    "created_at": NOW - 2_000,
    "revoked_at": None,
    "origins": ["https://shop.example"],
}
"""Values that some key can have."""


def named(name: bytes, row: bytes, index: set[bytes], *on_topic: KeyRecord) -> set[str]:
    report = VerifyReport()
    compare_api_keys([(name, row)], index, {key.id: key for key in on_topic}, NOW, report)
    assert report.equal == (not report.named)
    return set(report.named)


def test_a_whole_record_is_equal() -> None:
    assert named(NAME, msgspec.json.encode(KEY), {b"0123456789ab"}) == set()


@pytest.mark.parametrize("field", [f for f in KeyRecord.__struct_fields__ if f not in NOT_PROVABLE])
def test_a_field_that_no_key_can_have_is_named(field: str) -> None:
    damaged = msgspec.to_builtins(KEY) | {field: WRONG[field]}
    assert named(NAME, msgspec.json.encode(damaged), {b"0123456789ab"}) == {f"api_key.{field}"}


@pytest.mark.parametrize("field", [f for f in KeyRecord.__struct_fields__ if f != "id"])
def test_a_valid_field_that_the_topic_has_otherwise_is_named(field: str) -> None:
    other = msgspec.json.encode(msgspec.to_builtins(KEY) | {field: OTHER[field]})
    assert named(NAME, other, {b"0123456789ab"}) == set()  # nothing says what it was
    assert named(NAME, other, {b"0123456789ab"}, KEY) == {f"api_key.{field}"}


def test_a_key_that_the_store_lost_is_named() -> None:
    lost = msgspec.structs.replace(KEY, id="ffffffffffff")
    assert named(NAME, msgspec.json.encode(KEY), {b"0123456789ab"}, KEY, lost) == {"api_key.row"}


def test_a_record_under_another_name_is_named() -> None:
    other = b"simpersona-api:{ffffffffffff}:key"
    assert named(other, msgspec.json.encode(KEY), {b"ffffffffffff"}) == {"api_key.id"}


def test_index_and_records_must_agree() -> None:
    row = msgspec.json.encode(KEY)
    assert named(NAME, row, set()) == {"api_key.index"}
    assert named(NAME, row, {b"0123456789ab", b"gone"}) == {"api_key.row"}
    assert named(NAME, row[:-1], {b"0123456789ab"}) == {"api_key.json"}
