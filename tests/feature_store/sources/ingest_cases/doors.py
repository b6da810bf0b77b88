"""Bring a case's input through the real doors: the command line, and the collector's route."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
from click.testing import CliRunner
from fastapi import FastAPI

from feature_store.contract.events import Event, decode_event
from inference.api.bounds.json_text import JsonBounds
from inference.api.requests.payloads import Collector
from ops.cli.files.events import events as events_command
from tests.feature_store.sources.adapters.payloads import HASHER
from tests.feature_store.sources.ingest_cases.cases import Case, Got
from tests.inference.api.doors import Call, Keys, app_without_servers

RECEIVED_MS = 1_795_716_454_727
"""2026-11-26T18:07:34.727Z: what the clock shows while a body is received."""


def take(case: Case, folder: Path) -> Got:
    """Take the case's input; `folder` is for files and keys."""
    return take_body(case, folder) if case.room == "http" else take_file(case, folder)


def take_file(case: Case, folder: Path) -> Got:
    """As `simpersona events convert` takes it."""
    out = folder / "converted.ndjson"
    arguments = ["convert", str(case.path), *shlex.split(case.options), "--out", str(out), "--json"]
    if case.mapping is not None:
        arguments += ["--mapping", str(case.path.with_name(case.mapping))]
    environment = {"SIMPERSONA_HOME": str(folder), "SIMPERSONA_ID_KEY": "00" * 16}
    ran = CliRunner().invoke(events_command, arguments, env=environment)
    printed = f"{ran.output} {ran.exception or ''}".replace(str(case.path), "the file")
    report = _report(ran.stdout)
    taken = [decode_event(line) for line in out.read_bytes().splitlines()] if out.exists() else []
    return Got(taken, report.get("skipped", {}), printed)


def _report(printed: str) -> dict[str, Any]:
    lines = [line for line in printed.splitlines() if line.startswith("{")]
    return dict(msgspec.json.decode(lines[0])) if lines else {}


def take_body(case: Case, folder: Path) -> Got:
    """As POST /v1/events takes it, with a key of the store acme."""
    sent: list[Event] = []
    body = case.path.read_bytes() if case.body is None else case.body.encode()
    call = Call("POST", f"/v1/events?{case.options}", "acme/writer", body)
    asyncio.run(call.to(app_that_keeps(folder, sent)))
    answer = msgspec.json.decode(call.body)
    return Got(sent, answer.get("skipped", {}), f"{call.status} {call.body.decode()}")


def app_that_keeps(folder: Path, sent: list[Event]) -> FastAPI:
    """The API without servers; what it would send to Kafka goes to `sent`."""
    app = app_without_servers(folder, Keys(writer=["events:write"]))
    state = app.state.api
    bounds = JsonBounds(
        state.settings.max_json_values, state.settings.max_item_values, state.settings.max_json_depth
    )
    state.collector = Collector(HASHER, state.settings.max_items, bounds)
    state.redis, state.intake = (
        _Notes(),
        SimpleNamespace(add=lambda *_counts: None, refuse=lambda _kind: None),
    )
    state.installation = SimpleNamespace(topic="clickstream")
    state.producer = _Producer(sent)
    return app


class _Notes:
    """The store, which is told who was heard of."""

    def pipeline(self, **_options: Any) -> _Notes:
        return self

    def set(self, *_note: Any, **_options: Any) -> None:
        pass

    async def execute(self) -> None:
        pass


class _Producer:
    """Kafka, which keeps every record."""

    waiting = 0

    def __init__(self, sent: list[Event]) -> None:
        self._sent = sent

    async def send(self, _topic: str, records: list[tuple[bytes, bytes]]) -> None:
        self._sent += [decode_event(value) for _, value in records]
