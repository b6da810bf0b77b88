"""`simpersona events check|convert|schema` as a user runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from feature_store.contract.events import decode_event, encode_event, json_schema
from feature_store.contract.identity import BuyerHasher
from tests.feature_store.sources.adapters import payloads
from tests.strategies import event

KEY = bytes(range(32))


def run(home: Path, *arguments: str | Path, key: bytes | None = KEY) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SIMPERSONA_")}
    environment["SIMPERSONA_HOME"] = str(home)
    if key is not None:
        environment["SIMPERSONA_ID_KEY"] = key.hex()
    command = [sys.executable, "-c", "from ops.cli.main import main; main()", "events", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def shopify_lines(tmp_path: Path) -> Path:
    lines: list[Any] = [
        payloads.shopify("checkout_completed", payloads.shopify_checkout()),
        payloads.shopify("page_viewed", {}, clientId=None),
    ]
    path = tmp_path / "shopify.ndjson"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_check_reports_and_passes(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes((encode_event(event()) + b"\n") * 2)
    done = run(tmp_path, "check", path, "--json")
    assert done.returncode == 0
    report = json.loads(done.stdout)
    assert (report["events"], report["repeated"], report["invalid"]) == (2, 1, {})


def test_check_tells_of_values_that_were_not_taken_as_sent(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    sent = json.loads(encode_event(event())) | {"price": "$ 79.95", "quantity": 0, "currency": "usd"}
    path.write_text(f"{json.dumps(sent)}\n" * 2)
    report = json.loads(run(tmp_path, "check", path, "--json").stdout)
    assert report["repaired"] == {
        "price": {"currency_sign": {"count": 2, "form": "$ 99.99"}},
        "currency": {"letter_case": {"count": 2, "form": "aaa"}},
    }
    assert report["emptied"] == {"quantity": {"zero": {"count": 2, "form": "9"}}}
    done = run(tmp_path, "check", path)
    assert done.returncode == 0
    assert "price currency_sign" in done.stdout
    assert "like $ 99.99" in done.stdout


def test_check_fails_on_an_invalid_record_and_names_it(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(encode_event(event()) + b"\n{\n")
    done = run(tmp_path, "check", path)
    assert done.returncode == 1
    assert "line 2: malformed_json" in done.stdout
    assert done.stderr.startswith("simpersona: ")
    assert done.stderr.count("\n") == 1


def test_check_needs_no_key(tmp_path: Path, shopify_lines: Path) -> None:
    done = run(tmp_path, "check", shopify_lines, "--format", "shopify", "--store", "acme", key=None)
    assert done.returncode == 0
    assert "no_buyer_id" in done.stdout


def test_a_vendors_file_without_format_gets_a_hint(tmp_path: Path, shopify_lines: Path) -> None:
    done = run(tmp_path, "check", shopify_lines)
    assert done.returncode == 1
    assert "add --format shopify" in done.stderr


def test_convert_writes_pseudonyms(tmp_path: Path, shopify_lines: Path) -> None:
    out = tmp_path / "out.ndjson"
    options = ("--format", "shopify", "--store", "acme", "--json")
    done = run(tmp_path, "convert", shopify_lines, "--out", out, *options)
    assert done.returncode == 0
    assert json.loads(done.stdout)["skipped"] == {"no_buyer_id": 1}
    assert decode_event(out.read_bytes()).buyer == BuyerHasher(KEY).buyer("acme", "client-1")
    assert b"client-1" not in out.read_bytes()


def test_convert_without_a_key_says_what_to_do(tmp_path: Path, shopify_lines: Path) -> None:
    out = tmp_path / "out.parquet"
    options = ("--format", "shopify", "--store", "acme")
    done = run(tmp_path, "convert", shopify_lines, "--out", out, *options, key=None)
    assert done.returncode == 1
    assert "set SIMPERSONA_ID_KEY" in done.stderr
    assert not out.exists()


def test_contract_files_are_converted_without_a_key(tmp_path: Path) -> None:
    path, out = tmp_path / "events.ndjson", tmp_path / "out.parquet"
    path.write_bytes(encode_event(event()) + b"\n")
    assert run(tmp_path, "convert", path, "--out", out, key=None).returncode == 0
    assert run(tmp_path, "check", out).returncode == 0


def test_bad_usage_is_2(tmp_path: Path) -> None:
    assert run(tmp_path, "check", "x.ndjson", "--format", "csv").returncode == 2
    assert run(tmp_path, "check", tmp_path / "none.ndjson").returncode == 1


def test_schema_prints_the_contract(tmp_path: Path) -> None:
    assert json.loads(run(tmp_path, "schema").stdout) == json_schema()
