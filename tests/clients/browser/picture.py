"""The picture of docs/browser.md: python -m tests.clients.browser.picture

Starts real servers in a folder of its own, lets a shopper click through the shop of the tests in Debian's
Chromium, and draws the shop and the dashboard side by side.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from feature_store.contract.identity import BuyerHasher
from ops.documents.pages import DOCS
from ops.stack.kafka import Kafka
from tests.api_process import SCOPES, Api
from tests.clients.browser.shop import page, serving
from tests.rig import Rig

PICTURE: Final = DOCS / "browser.png"
_STORE: Final = "little"
_HASHER: Final = BuyerHasher(bytes.fromhex("ab" * 32))
_CHROMIUM: Final = "/usr/bin/chromium"
_SHOP_VIEW: Final = {"width": 480, "height": 900}
_DASHBOARD_VIEW: Final = {"width": 1100, "height": 900}
_COLOURS: Final = 64
_PATIENCE_MS: Final = 120_000


def main() -> None:
    """Draw it."""
    with tempfile.TemporaryDirectory() as folder:
        kafka = Kafka(Path(folder) / "kafka", owned=True)
        kafka.start()
        rig = Rig(kafka, Path(folder))
        try:
            rig.worker()
            drawn = _draw(Api(rig, heartbeat_s=0.5))
        finally:
            rig.close()
            kafka.stop()
    images = [Image.open(io.BytesIO(one)).convert("RGB") for one in drawn]
    whole = Image.new("RGB", (sum(image.width for image in images), images[0].height))
    left = 0
    for image in images:
        whole.paste(image, (left, 0))
        left += image.width
    whole.quantize(_COLOURS, dither=Image.Dither.NONE).save(PICTURE, optimize=True)


def _draw(api: Api) -> list[bytes]:
    pages = [""]
    try:
        with serving(pages) as origin, sync_playwright() as playwright:
            pages[0] = page(api.url, api.page_key(_STORE, origin), "A-1")
            browser = playwright.chromium.launch(executable_path=_CHROMIUM)
            drawn = _beside(browser, origin, f"{api.url}/#key={api.new_key('*', *SCOPES)}&store={_STORE}")
            browser.close()
            return drawn
    finally:
        api.stop()


def _beside(browser: Browser, origin: str, link: str) -> list[bytes]:
    shop = browser.new_context(viewport=_SHOP_VIEW).new_page()  # type: ignore[arg-type]
    dashboard = browser.new_context(viewport=_DASHBOARD_VIEW).new_page()  # type: ignore[arg-type]
    for tab in (shop, dashboard):
        tab.set_default_timeout(_PATIENCE_MS)
    shop.goto(origin)
    shop.wait_for_function("simpersona.loaded")
    buyer = _HASHER.buyer(_STORE, shop.evaluate("simpersona('id')"))
    shop.click("#mug")
    dashboard.goto(link)
    dashboard.click(f'#rows button[data-buyer="{buyer}"]')
    for name in ("lamp", "rug"):
        shop.click("#back")
        shop.click(f"#{name}")
    shop.click("#add")
    shop.click("#back")
    shop.click("#checkout")
    current = dashboard.locator("#who-path li[aria-current]")
    current.filter(has_text="Checkout").wait_for()
    return [tab.screenshot() for tab in (shop, dashboard)]


if __name__ == "__main__":
    main()
