"""Files that are broken, hostile or of another kind: one clear line, and nothing half-written."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from feature_store.contract.events import decode_event, encode_event
from feature_store.errors import EventSourceError
from feature_store.sources.files import streams
from ops.cli.files.events import events
from ops.cli.files.fold import fold
from tests.strategies import event

GOOD = encode_event(event()) + b"\n"
HEADER = "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n"
ROW = "2026-11-01 00:00:00 UTC,view,7,1,a.b,acme,9.5,u1,s1\n"
SHOP = ["--format", "rees46", "--store", "acme"]


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(events, list(map(str, arguments)), env={"SIMPERSONA_ID_KEY": "00" * 32})


def refusal(ran: Result) -> str:
    """The one line that the user sees."""
    assert ran.exit_code == 1
    assert isinstance(ran.exception, EventSourceError)
    assert "\n" not in str(ran.exception)
    return str(ran.exception)


def bad_records(ran: Result) -> dict[str, int]:
    return dict(json.loads(ran.stdout)["invalid"])


def parquet(**columns: list[Any]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue())


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("a.ndjson.gz", gzip.compress(GOOD * 5_000)[:-40], [], "cannot be read"),
        ("a.csv.gz", gzip.compress(HEADER.encode() + ROW.encode() * 5_000)[:-40], SHOP, "cannot be read"),
        ("a.json", b"[" + GOOD * 2, [], "ends inside its array: it was cut off"),
        ("a.parquet", parquet(id=[1], colour=["red"]), [], r"columns colour, id.*--mapping"),
        ("a.parquet", parquet(id=[1]), ["--format", "contract"], "not of the format contract: it lacks"),
        ("a.csv", b"c" + b",c" * 1_000_000, SHOP, "1,048,576 bytes: are these rows"),
        ("a.csv", ",".join(f"c{i}" for i in range(20_000)).encode(), SHOP, "20,000 columns; at most"),
        ("a.xlsx", b"PK\x03\x04....", SHOP, "save the sheet as CSV"),
        ("a.csv", b"<html><body>Sign in</body></html>\n", SHOP, "text without columns"),
        ("a.csv", HEADER.encode(), SHOP, "holds no records"),
    ],
    ids=["gzip", "csv.gz", "array", "schema", "lacks", "one line", "columns", "workbook", "html", "empty"],
)
def test_a_file_that_is_refused_whole(
    tmp_path: Path, name: str, content: bytes, options: list[str], message: str
) -> None:
    path, out = tmp_path / name, tmp_path / "out.parquet"
    path.write_bytes(content)
    with pytest.raises(EventSourceError, match=message):
        raise EventSourceError(refusal(run("check", path, *options)))
    for ran in (
        run("convert", path, *options, "--out", out),
        CliRunner().invoke(fold, [str(path), *options, "--out", str(out)]),
    ):
        refusal(ran)
        assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"{" + b'"a":{' * 10_000 + b"}" * 10_001, "malformed_json"),
        (b'{"a": "\x00"}', "malformed_json"),
        (b'{"a": "caf\xe9"}', "invalid_utf8"),
        (b'{"a": "' + b"x" * 5_000_000 + b'"}', "too_large"),
        (b'{"a": 1e999999}', "invalid_field"),
        (b"\x00" * 1_000, "malformed_json"),
    ],
    ids=["deep", "nul", "encoding", "long", "number", "zeros"],
)
def test_a_bad_value_costs_one_record(tmp_path: Path, bad: bytes, reason: str) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(GOOD + bad + b"\n" + GOOD)
    ran = run("check", path, "--json")
    assert bad_records(ran) == {reason: 1}
    assert json.loads(ran.stdout)["events"] == 2
    assert json.loads(ran.stdout)["examples"][0].startswith(f"line 2: {reason}")
    assert "1 invalid" in refusal(ran)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (ROW.encode().replace(b"acme", b"caf\xe9"), "invalid_utf8"),
        (ROW.encode().replace(b"acme", b"\x00"), "malformed_row"),
        (ROW.encode().replace(b"acme", b'"acme'), "malformed_row"),
        (ROW.encode().replace(b"acme", b"ac,me"), "malformed_row"),
        (ROW.encode().replace(b"acme", b"x" * 2_000_000), "too_large"),
    ],
    ids=["encoding", "nul", "quote", "cells", "long"],
)
def test_a_bad_row_costs_one_record(tmp_path: Path, bad: bytes, reason: str) -> None:
    path = tmp_path / "a.csv"
    good = ROW.replace("acme", "Łódź").encode()
    path.write_bytes(HEADER.encode() + good + bad + good.replace(b"u1", b"u2"))
    ran = run("check", path, *SHOP, "--json")
    assert bad_records(ran) == {reason: 1}
    assert json.loads(ran.stdout)["events"] == 2
    assert json.loads(ran.stdout)["examples"][0].startswith("line 3: ")


def test_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "FREE_BYTES", 1 << 20)
    path = tmp_path / "a.ndjson.gz"
    path.write_bytes(gzip.compress(bytes(40 << 20)))
    assert "250 times its size" in refusal(run("check", path))


def test_formulas_are_texts(tmp_path: Path) -> None:
    path, out = tmp_path / "a.csv", tmp_path / "out.ndjson"
    formula = "=cmd|'/C calc'!A0"
    path.write_text(HEADER + ROW.replace("acme", formula))
    assert run("convert", path, *SHOP, "--out", out).exit_code == 0
    assert decode_event(out.read_bytes()).brand == formula


def test_an_expression_that_would_backtrack_for_ever(tmp_path: Path) -> None:
    mapping, path = tmp_path / "shop.toml", tmp_path / "a.ndjson"
    mapping.write_text(
        'format = 1\nstore = "acme"\nbuyer = "u"\ntime = "t"\ntime_unit = "ms"\nevent_id = "i"\n'
        '[[events]]\ntype = "page_view"\nwhere = { name = "(a+)+(a+)+b" }\n'
    )
    record = {"u": "u1", "i": "1", "t": 1_780_000_000_000, "name": "a" * 50_000}
    path.write_text(json.dumps(record) + "\n" + json.dumps(record | {"name": "aab"}) + "\n")
    ran = run("check", path, "--mapping", mapping, "--json")
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout)["types"] == {"page_view": 1}


def test_a_folder_with_a_part_of_another_kind(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "a.csv").write_text(HEADER + ROW)
    (folder / "b.parquet").write_bytes(parquet(id=[1]))
    line = refusal(run("check", folder, "--format", "normalised"))
    assert "a.csv" in line
    assert "read files of several kinds one by one" in line
