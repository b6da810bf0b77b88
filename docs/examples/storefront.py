"""A shop's server that gives each shopper's page a token for that shopper's persona, and for no other."""

import html
import os
import secrets
import sys
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

import httpx

STORE, URL, PAGE_KEY = "acme", os.environ["PERSONA_URL"], os.environ["PERSONA_PAGE_KEY"]
PAGE = """<!doctype html><title>Shop</title>
<script src="{url}/simpersona.js" data-key="{key}" data-buyer="{shopper}"></script>
<h1>Shop</h1><p id="hint"></p>
<script>
  simpersona("persona", "{token}", (persona) => {{
    document.getElementById("hint").textContent = persona ? persona.type || persona.token : "nobody known";
  }});
</script>"""
# A key with the scope tokens:create alone; it stays on this server.
api = httpx.Client(base_url=URL, headers={"Authorization": f"Bearer {os.environ['PERSONA_KEY']}"}, timeout=1)
shoppers: dict[str, str] = {}  # this shop's sessions: cookie -> its own id of the shopper


def token_of(shopper: str) -> str:
    """A token for five minutes; "" where there is none: the page then does without a persona."""
    try:
        answer = api.post(f"/v1/stores/{STORE}/buyers/{quote(shopper, safe='')}/token")
    except httpx.HTTPError:
        return ""
    return str(answer.json()["token"]) if answer.status_code == 200 else ""


class Shop(BaseHTTPRequestHandler):
    """One page for everybody."""

    def do_GET(self) -> None:
        """The page of the shopper whom the cookie names. No address and no body can name another one."""
        cookie = SimpleCookie(self.headers.get("Cookie", "")).get("session")
        session = cookie.value if cookie and cookie.value in shoppers else secrets.token_urlsafe(16)
        shopper = shoppers.setdefault(session, f"shopper-{secrets.token_hex(8)}")
        page = PAGE.format(
            url=html.escape(URL),
            key=html.escape(PAGE_KEY),
            shopper=html.escape(shopper),
            token=token_of(shopper),
        )
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Cache-Control", "no-store")  # the token is in it
        self.send_header("Set-Cookie", f"session={session}; HttpOnly; SameSite=Lax; Path=/")
        self.end_headers()
        self.wfile.write(page.encode())


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Shop).serve_forever()
