"""A small shop on an origin of its own, whose pages use simpersona.js as docs/browser.md says."""

from __future__ import annotations

import html
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

_GOODS: Final = {
    "mug": ("Blue mug", "home/kitchen", 12.5),
    "lamp": ("Desk lamp", "home/light", 49.0),
    "rug": ("Wool rug", "home/floor", 180.0),
    "clock": ("Wall clock", "home/decor", 35.0),
}
_STYLE: Final = """
body { font: 18px/1.5 system-ui, sans-serif; margin: 0; color: #1d2733; background: #fbf7f1; }
header { background: #1f4d4a; color: white; padding: 1rem 2rem; } main { padding: 1.5rem 2rem; }
#shown { background: white; border: 1px solid #ded6c8; border-radius: 8px; padding: 1rem; }
button { font: inherit; background: #1f4d4a; color: white; border: 0; border-radius: 6px; }
button { padding: .4rem 1rem; }
"""
# One app: the address changes, the page does not. What the shopper does is told where it happens.
_APP: Final = """
const goods = GOODS;
const shown = document.getElementById("shown");
const item = (id) => ({product_id: id, category: goods[id][1], price: goods[id][2], currency: "EUR"});
const cart = [];
const basket = () => ({items: cart.map((id) => ({...item(id), quantity: 1})), currency: "EUR"});
const button = (id, text, act) => {
  const made = Object.assign(document.createElement("button"), {id, textContent: text, onclick: act});
  shown.append(made, " ");
};
const show = (title, path) => {
  if (path !== location.pathname) history.pushState({}, "", path);
  shown.innerHTML = "<h2></h2>";
  shown.firstChild.textContent = title;
};
const product = (id) => {
  show(`${goods[id][0]}, ${goods[id][2].toFixed(2)} EUR`, `/${id}`);
  simpersona("product", item(id));
  button("add", "Add to cart", () => {
    cart.push(id);
    simpersona("add", {...item(id), quantity: 1});
    count();
  });
  button("back", "All goods", all);
};
const count = () => { document.getElementById("count").textContent = cart.length; };
const all = () => {
  show("All goods", "/");
  simpersona("list", "home");
  for (const id in goods) button(id, goods[id][0], () => product(id));
  if (cart.length) button("checkout", "Check out", pay);
};
const pay = () => {
  show("Check out", "/checkout");
  simpersona("checkout", basket());
  button("buy", "Buy", () => {
    simpersona("purchase", {...basket(), order: ORDER});
    show("Thank you", "/thanks");
  });
};
all();
"""


def page(api: str, key: str, order: str, attributes: str = "") -> str:
    """The shop, and the tag of the documents."""
    goods = {name: list(of) for name, of in _GOODS.items()}
    app = _APP.replace("GOODS", repr(goods), 1).replace("ORDER", repr(order))
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Little shop</title>
<style>{_STYLE}</style>
<script>window.simpersona ||= function () {{ (simpersona.q ||= []).push(arguments); }};</script>
<script async src="{html.escape(api)}/simpersona.js" data-key="{html.escape(key)}" {attributes}></script>
<header><h1>Little shop</h1>Cart: <span id="count">0</span></header>
<main><div id="shown"></div></main>
<script>{app}</script></html>"""


@contextmanager
def serving(text: list[str]) -> Iterator[str]:
    """Serve text[0] at every path of a free port; the origin."""

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(text[0].encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
