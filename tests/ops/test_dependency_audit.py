"""Advisories are matched with what is pinned, from an export of OSV's and without a network."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import msgspec
import pytest

from ops import dependency_audit as audit
from ops.dependency_audit import Advisory, AuditError, Finding, findings, main, pins, read_database

PINNED = {"httpx": "0.28.1", "Zope_Interface": "7.0", "numpy": "2.4.1"}


def record(name: str, *events: dict[str, str], versions: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    affected = {
        "package": {"name": name, "ecosystem": "PyPI"},
        "ranges": [{"type": "ECOSYSTEM", "events": list(events)}],
        "versions": list(versions),
    }
    return {"id": "PYSEC-1", "modified": "2026-11-01T00:00:00Z", "affected": [affected], **more}


def found(*records: dict[str, Any]) -> list[Finding]:
    return list(findings(PINNED, msgspec.convert(records, tuple[Advisory, ...])))


@pytest.mark.parametrize(
    ("events", "affected"),
    [
        ([{"introduced": "0"}], True),
        ([{"introduced": "0"}, {"fixed": "0.28.1"}], False),
        ([{"introduced": "0"}, {"fixed": "0.28.2"}], True),
        ([{"introduced": "0.28.1"}, {"fixed": "0.29"}], True),
        ([{"introduced": "0.28.2"}, {"fixed": "0.29"}], False),
        ([{"introduced": "0.9"}, {"last_affected": "0.28.1"}], True),
        ([{"introduced": "0.9"}, {"last_affected": "0.28.0"}], False),
        ([{"introduced": "0"}, {"fixed": "0.20"}, {"introduced": "0.28"}, {"fixed": "0.30"}], True),
        ([{"introduced": "0.28"}, {"fixed": "0.28.5"}, {"introduced": "0"}, {"fixed": "0.20"}], True),
        ([{"introduced": "0"}, {"fixed": "0.20"}, {"introduced": "0.29"}], False),
        ([{"introduced": "0"}, {"fixed": "0.100"}], True),  # as versions, not as text
        ([{"introduced": "0"}, {"last_affected": "no version"}], False),
        ([], False),
    ],
)
def test_a_range_is_read_as_osv_has_it(events: list[dict[str, str]], affected: bool) -> None:
    assert bool(found(record("httpx", *events))) is affected


def test_versions_names_and_fixes() -> None:
    assert found(record("zope.interface", {"introduced": "1"}, {"fixed": "8.1"})) == [
        Finding("Zope_Interface", "7.0", "PYSEC-1", ("8.1",))
    ]
    assert found(record("numpy", versions=("2.4.0", "2.4.1"))) == [Finding("numpy", "2.4.1", "PYSEC-1", ())]


def test_what_is_withdrawn_or_of_others_is_no_finding() -> None:
    everything = {"introduced": "0"}
    assert not found(record("httpx", everything, withdrawn="2026-01-01T00:00:00Z"))
    assert not found(record("aiohttp", everything))
    elsewhere = record("httpx", everything)
    elsewhere["affected"][0]["package"]["ecosystem"] = "npm"
    assert not found(elsewhere)
    commits = record("httpx", everything)
    commits["affected"][0]["ranges"][0]["type"] = "GIT"
    assert not found(commits)


@pytest.mark.parametrize("path", audit.PINS, ids=lambda path: path.stem)
def test_every_pin_is_read(path: Path) -> None:
    hashed = path.read_text().count("==")
    assert len(pins(path)) == hashed
    assert all(version[0].isdigit() for version in pins(path).values())


def export(path: Path, *records: dict[str, Any]) -> Path:
    with ZipFile(path, "w") as made:
        for number, each in enumerate(records):
            made.writestr(f"PYSEC-{number}.json", json.dumps(each))
    return path


def run(monkeypatch: pytest.MonkeyPatch, database: Path) -> int:
    monkeypatch.setattr(audit, "write_bill", lambda path, folder: folder / path.stem)
    return main(["--database", str(database)])


def test_a_finding_fails_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    database = export(tmp_path / "all.zip", record("httpx", {"introduced": "0"}, {"fixed": "99.0"}))
    assert run(monkeypatch, database) == 1
    printed = capsys.readouterr().out
    version = pins(audit.PINS[0])["httpx"]
    assert f"httpx {version}: PYSEC-1, fixed in 99.0 (serve, demo, gpu, dev)" in printed
    assert "1 advisories of all.zip, the newest of 2026-11-01" in printed


def test_nothing_found_is_said_with_the_age(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    database = export(tmp_path / "all.zip", record("httpx", {"introduced": "0"}, {"fixed": "0.1"}))
    assert run(monkeypatch, database) == 0
    assert "known vulnerabilities: 0" in capsys.readouterr().out


def test_no_database_is_no_clean_bill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tmp_path / "absent.zip") == 2
    assert "is no export" in capsys.readouterr().err
    with pytest.raises(AuditError, match="holds no advisory"):
        read_database(export(tmp_path / "empty.zip"))


def test_a_service_that_does_not_answer_is_no_clean_bill(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = subprocess.CompletedProcess([], 1, stdout="", stderr="ERROR: connection refused\n")
    monkeypatch.setattr(audit, "_tool", lambda *command: silent)
    with pytest.raises(AuditError, match=r"connection refused\); --database"):
        audit.ask_service(audit.PINS[0])
