"""A real browser, a shop's pages that exist in it alone, and a collector that answers as a test says."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.empty_environment import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

CLIENT: Final = ROOT / "clients" / "browser"
SHOP, API, KEY = "https://shop.example", "https://api.example", "sp_0123456789ab_key"
PATIENCE_MS: Final = 30_000


@dataclass
class Answer:
    """What the collector says to a request; status 0: it cannot be reached."""

    status: int = 202
    body: dict[str, Any] = field(default_factory=lambda: {"accepted": 1, "skipped": {}, "errors": []})
    headers: dict[str, str] = field(default_factory=dict)


class Shop:
    """A tab at a shop whose collector is the test. Its clock stands still until `let_pass`."""

    def __init__(self, browser: Browser, attributes: str = f'data-key="{KEY}"', before: str = "") -> None:
        self._html = (
            f"<!doctype html><title>shop</title><script>{before}</script>"
            f'<script src="{API}/simpersona.js" {attributes}></script><h1>shop</h1>'
        )
        self.answers: list[Answer] = []
        self.bodies: list[list[dict[str, Any]]] = []
        self.urls: list[str] = []
        self.kinds: list[str] = []
        self.console: list[str] = []
        self.context = browser.new_context()
        self.context.set_default_timeout(PATIENCE_MS)
        self.context.route("**/*", self._serve)
        self.page: Page = self.context.new_page()
        self.page.clock.install()
        self.page.on("console", lambda line: self.console.append(line.text))
        self.page.on("pageerror", lambda error: self.console.append(f"error {error}"))

    def open(self, path: str = "/") -> Page:
        self.page.goto(SHOP + path)
        return self.page

    def _serve(self, route: Route) -> None:
        url = route.request.url
        if url.startswith(SHOP):
            route.fulfill(body=self._html, content_type="text/html")
        elif url == f"{API}/simpersona.js":
            route.fulfill(path=CLIENT / "simpersona.js", content_type="text/javascript")
        else:
            self._collect(route)

    def _collect(self, route: Route) -> None:
        self.urls.append(route.request.url)
        self.kinds.append(route.request.resource_type)
        self.bodies.append(json.loads(route.request.post_data or "null"))
        answer = self.answers.pop(0) if self.answers else Answer()
        if not answer.status:
            route.abort()
            return
        cors = {"Access-Control-Allow-Origin": SHOP, "Access-Control-Expose-Headers": "Retry-After"}
        route.fulfill(status=answer.status, json=answer.body, headers={**cors, **answer.headers})

    def tell(self, *call: Any) -> Any:
        """simpersona(...), as the shop's page calls it."""
        return self.page.evaluate("call => simpersona(...call)", list(call))

    def let_pass(self, ms: int) -> None:
        """Put the page's clock forward, and let what it began end."""
        self.page.clock.run_for(ms)
        self.page.evaluate("() => fetch('/settled')")

    def leave(self) -> None:
        """What a browser tells a page that is being left."""
        self.page.evaluate("() => dispatchEvent(new Event('pagehide'))")
        self.page.evaluate("() => fetch('/settled')")

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for body in self.bodies for event in body or []]

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    def kept(self) -> dict[str, str]:
        kept: dict[str, str] = self.page.evaluate("({...localStorage})")
        assert self.page.evaluate("document.cookie + sessionStorage.length") == "0"
        assert self.context.cookies() == []
        return kept
