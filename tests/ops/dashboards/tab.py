"""The page in a tab of a real browser, and what it did that it should not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tests.api_process import Api

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PATIENCE_MS: Final = 60_000


class Tab:
    """A page in a context of its own, and what it did that it should not."""

    def __init__(self, browser: Browser, api: Api, scheme: str = "light") -> None:
        self.api = api
        self._context = browser.new_context(
            color_scheme="dark" if scheme == "dark" else "light", viewport={"width": 1440, "height": 900}
        )
        self._context.set_default_timeout(PATIENCE_MS)
        self.page: Page = self._context.new_page()
        self.page.clock.install()
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "console",
            lambda line: self.complaints.append(line.text) if line.type in ("error", "warning") else None,
        )

    def open(self, key: str | None = None, store: str | None = None) -> Page:
        """Open the page as `simpersona demo --stay` says it."""
        said = [f"{name}={value}" for name, value in (("key", key), ("store", store)) if value]
        self.page.goto(f"{self.api.url}/{'#' if said else ''}{'&'.join(said)}")
        return self.page

    def see(self, selector: str, text: str | re.Pattern[str]) -> None:
        """Wait until something shows a text."""
        self.page.locator(selector).filter(has_text=text, visible=True).first.wait_for()

    def let_pass(self, ms: int) -> None:
        """Put the page's own clock forward: its timers fire now, and nobody waits."""
        self.page.clock.run_for(ms)

    def close(self) -> None:
        """Hold what every visit must keep: nothing asked elsewhere, no key in an address."""
        self._context.close()
        for url in self.asked:
            assert url.startswith((f"{self.api.url}/", "data:")), url
            assert "sp_" not in url.partition("#")[0]
