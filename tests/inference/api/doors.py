"""The app without its servers: keys in memory, and raw ASGI calls that tell what was read, and when."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fastapi import FastAPI
from starlette.types import Message

from inference.api.access.keys import ALL_STORES, KeyRecord, Scope
from inference.api.app import create_app
from inference.api.bounds.in_flight import InFlight
from inference.api.installation import History, Installation
from inference.api.metrics import ApiMetrics
from inference.api.settings import ApiSettings
from inference.bundles.active import active_bundle
from inference.counts.windows import WindowSettings
from ops.dashboards.drift import drift_router
from ops.dashboards.operation import operation_router
from ops.dashboards.page import page_router
from ops.dashboards.refusals import refusals_router
from ops.dashboards.settings import DashboardSettings
from ops.drift.settings import DriftSettings
from ops.refusals.letters import LetterTally


def nothing(*_asked: object) -> dict[str, Any]:
    """An answer from a log that nobody asks."""
    return {}


def installation(home: Path) -> Installation:
    """All that `simpersona api` serves; its servers are away."""
    return Installation(
        kafka={"bootstrap.servers": "127.0.0.1:1"},
        store_url="redis://127.0.0.1:1/0",
        topic="clickstream",
        assignments_topic="persona-assignments",
        erasures_topic="simpersona-erasures",
        control_topic="simpersona-control",
        keys_topic="simpersona-keys",
        home=home,
        bundle=active_bundle(),
        remains=lambda _at: [],
        swapped_to=lambda _raw: None,
        history=History(as_of=nothing, why=nothing, report=nothing),
        routers=(
            page_router(),
            drift_router(WindowSettings(), DriftSettings()),
            operation_router(DashboardSettings()),
            refusals_router(lambda _erasures, _since, _store: LetterTally()),
        ),
    )


class Keys:
    """Keys in memory, by token; the token `empty` has used up its rate."""

    def __init__(self, **scopes: list[Scope]) -> None:
        self._scopes = scopes
        self.charged: list[float] = []

    async def admit(self, token: str, cost: float = 1) -> tuple[KeyRecord | None, float]:
        store, _, name = token.rpartition("/")
        if name not in self._scopes:
            return None, 0.0
        record = KeyRecord(
            id=name, store=store or ALL_STORES, scopes=tuple(self._scopes[name]), digest="", rate=1, burst=1,
            note="", created_at=0,
        )  # fmt: skip
        return record, 7.0 if name == "empty" else 0.0

    async def charge(self, _record: KeyRecord, cost: float) -> None:
        self.charged.append(cost)


def app_without_servers(home: Path, keys: Keys, **settings: Any) -> FastAPI:
    """The app with the keys alone behind it."""
    made = ApiSettings(**settings)
    app = create_app(installation(home), made)
    app.state.openapi = b"{}"
    app.state.api = SimpleNamespace(
        settings=made,
        keys=keys,
        metrics=ApiMetrics(),
        in_flight=InFlight(made.requests_per_store, 1 << 20),
        erasures=SimpleNamespace(by_key={}),
        tail=SimpleNamespace(caught_up=SimpleNamespace(is_set=lambda: True)),
    )
    return app


class Call:
    """One request by hand. `order`: what the app did: it asked for the body (`receive`), or it answered."""

    def __init__(self, method: str, path: str, token: str | None = None, body: bytes = b"{}") -> None:
        headers = [(b"host", b"x"), (b"content-length", str(len(body)).encode())]
        if token is not None:
            headers.append((b"authorization", b"Bearer " + token.encode()))
        path, _, query = path.partition("?")
        self.scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
            "raw_path": path.encode(), "query_string": query.encode(), "root_path": "", "scheme": "http",
            "headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 1), "state": {},
        }  # fmt: skip
        self.order: list[str] = []
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self._left = body

    async def receive(self) -> Message:
        self.order.append("receive")
        if self.order.count("receive") > 1:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": self._left, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.order.append("answer")
            self.status = message["status"]
            self.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
        self.body += message.get("body", b"")

    async def to(self, app: FastAPI) -> Call:
        await app(self.scope, self.receive, self.send)
        return self
