from __future__ import annotations

import msgspec
import pytest

from feature_store.contract.calibration import (
    CALIBRATION_HEADER,
    Calibration,
    Curve,
    Gate,
    calibration_of,
    decode_calibration,
    encode_calibration,
)
from feature_store.errors import RowVersionError
from inference.calibration.in_force import InForce, row_of
from tests.simulation.kafka import Record


def calibration(name: str, store: str = "acme", version: str = "v1", **more: object) -> Calibration:
    return Calibration(
        store=store,
        codebook_version=version,
        calibration_id=name,
        fitted_on=700,
        gate=Gate(passed=True, sessions=700),
        **{"confidence": Curve(a=0.8, b=-0.5), **more},  # type: ignore[arg-type]
    )


def test_the_last_one_before_an_event_holds_for_it() -> None:
    held = InForce()
    for offset, name in ((10, "first"), (40, "third"), (20, "second"), (20, "second again")):
        held.add(offset, calibration(name))
    found = {at: held.at("acme", "v1", at) for at in (5, 10, 11, 20, 21, 40, 41, 10**9)}
    names = {at: it and it.calibration_id for at, it in found.items()}
    assert names == {
        5: None,
        10: None,
        11: "first",
        20: "first",
        21: "second",
        40: "second",
        41: "third",
        10**9: "third",
    }


def test_another_store_and_another_codebook_version_have_their_own() -> None:
    held = InForce()
    assert not held
    held.add(10, calibration("ours"))
    assert held
    assert held.at("other", "v1", 50) is None
    assert held.at("acme", "v2", 50) is None


def test_what_the_store_keeps_is_read_back_and_damage_is_named() -> None:
    held = InForce()
    held.add(10, calibration("ours"))
    held.add(30, calibration("theirs", store="other", holds=False))
    rows = dict(row_of(*one) for one in held)
    assert sorted(InForce.of_rows(rows), key=lambda it: it[0]) == sorted(held, key=lambda it: it[0])
    for damaged in ({b"10": b"{"}, {b"ten": rows[b"10"]}, {b"10": b"\xff"}):
        with pytest.raises(RowVersionError, match="calibration row"):
            InForce.of_rows(damaged)


def _record(value: bytes | None, headers: list[tuple[str, bytes]]) -> Record:
    return Record("clicks", 0, 7, None, value, 0, headers)


def test_a_record_of_the_log_is_a_calibration_only_if_all_of_it_is_sound() -> None:
    ours = calibration("ours")
    assert calibration_of(_record(None, ours.headers())) == ours
    assert calibration_of(_record(b"{}", ours.headers())) is None
    assert calibration_of(_record(None, [])) is None
    fields = msgspec.json.decode(encode_calibration(ours))
    for bad in (
        {"kind": "swap"},
        {"confidence": {"a": 0.0, "b": 0.0}},
        {"confidence": {"a": -1.0, "b": 0.0}},
        {"forecast": {"a": 1.0, "b": 1e9}},
        {"store": "a|b"},
        {"fitted_on": -1},
        {"gate": None},
    ):
        raw = msgspec.json.encode(fields | bad)
        assert calibration_of(_record(None, [(CALIBRATION_HEADER, raw)])) is None, bad


def test_a_later_release_may_add_fields() -> None:
    raw = msgspec.json.encode(msgspec.json.decode(encode_calibration(calibration("a"))) | {"later": 1})
    assert decode_calibration(raw) == calibration("a")
