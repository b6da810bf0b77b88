"""A receiver of `simpersona webhook`: checks signatures, takes each item once, forgets whom it has to.

Standard library only.

SIMPERSONA_WEBHOOK_SECRET=whsec_... python receive_webhook.py PORT

While secrets are exchanged a request has two signatures; one that is right suffices.
"""

import base64
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

KEY = base64.b64decode(os.environ["SIMPERSONA_WEBHOOK_SECRET"].removeprefix("whsec_"))
OLD_S = 300
seen: set[str] = set()  # a shop keeps these in its database, beside what it did with them
kept: list[dict[str, Any]] = []


def forget(store: str, buyer: str, before_offset: int) -> None:
    """Delete what came of a buyer before they were erased; what they do later is a new life."""
    kept[:] = [
        it for it in kept if (it["store"], it["buyer"]) != (store, buyer) or it["offset"] >= before_offset
    ]
    print(f"{store} {buyer} is forgotten", flush=True)


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 only after every assignment of a request was dealt with."""

    def do_POST(self) -> None:
        """One signed batch."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.genuine(body):
            self.send_error(401)
            return
        told = json.loads(body)
        for item in told.get("erasures", ()):
            gone = item["erasure"]
            forget(gone["store"], gone["buyer"], gone["before_offset"])
        for item in told["assignments"]:
            if item["id"] not in seen:
                said = item["assignment"]
                print(f"{said['store']} {said['buyer']} is {said['token']}", flush=True)
                kept.append(said)
                seen.add(item["id"])
        self.send_response(204)
        self.end_headers()

    def genuine(self, body: bytes) -> bool:
        """Signed with our key, among others perhaps, and not long ago."""
        name, timestamp = self.headers["webhook-id"], self.headers["webhook-timestamp"]
        signed = hmac.digest(KEY, f"{name}.{timestamp}.".encode() + body, "sha256")
        expected = f"v1,{base64.b64encode(signed).decode()}"
        fresh = abs(time.time() - int(timestamp)) < OLD_S
        signatures = self.headers["webhook-signature"].split(" ")
        return fresh and any(hmac.compare_digest(one, expected) for one in signatures)


HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
