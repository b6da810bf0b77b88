"""The README's picture of the page: python -m ops.dashboards.picture LINK

LINK is what `simpersona demo --stay` says, with the key in it. Follows the shopper of the list who came
furthest and draws docs/page.png with Debian's Chromium; playwright and pillow are development packages.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import sync_playwright

PICTURE: Final = Path(__file__).parents[2] / "docs" / "page.png"
_CHROMIUM: Final = "/usr/bin/chromium"
_VIEW: Final = (1280, 900)
_COLOURS: Final = 64
"""Flat colours and their edges need no more, and the file is a third of what Chromium writes."""
_SETTLED_MS: Final = 60_000
_FOLLOWED_MS: Final = 5_000
_FOLLOW: Final = """() => {
  const steps = (row) => row.querySelectorAll(".steps .on").length;
  const events = (row) => Number(row.cells[5].textContent);
  const reached = (row) => 1000 * steps(row) + events(row);
  const rows = [...document.querySelectorAll("#rows tr")].sort((a, b) => reached(b) - reached(a));
  rows[0].querySelector("button").click();
}"""


def main() -> None:
    """Open the page, wait until it has something to show, and draw it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM)
        page = browser.new_page(viewport={"width": _VIEW[0], "height": _VIEW[1]})
        page.goto(sys.argv[1])
        page.locator("#rows tr").last.wait_for()
        page.wait_for_timeout(_SETTLED_MS)
        page.evaluate(_FOLLOW)
        page.wait_for_timeout(_FOLLOWED_MS)
        drawn = page.screenshot(full_page=True)
        browser.close()
    image = Image.open(io.BytesIO(drawn)).convert("RGB")
    image.quantize(_COLOURS, dither=Image.Dither.NONE).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
