"""What is posted: assignments as a signed batch, or as Segment's identify calls."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import msgspec

from streams.errors import SinkError
from streams.sinks.sink import Item
from streams.sinks.telling import Erased
from streams.sinks.webhook.settings import WebhookSettings

_PREFIX: Final = "whsec_"
_JSON: Final = {"Content-Type": "application/json", "User-Agent": "simpersona-webhook"}


class Letter(msgspec.Struct, frozen=True):
    """One request."""

    headers: Mapping[str, str]
    body: bytes


class Form(Protocol):
    """How items are written."""

    def write(self, items: Sequence[Item]) -> Letter:
        """One request that carries them all."""

    def tell(self, erased: Sequence[Erased]) -> Letter | None:
        """One request that tells of them all; None: this form has none."""


class SignedBatch:
    """{"assignments": [{"id", "assignment"}]}, signed as Standard Webhooks has it.

    webhook-id names these very items, so a request that is sent again has the same. A signature is
    base64(HMAC-SHA-256(secret, "<webhook-id>.<webhook-timestamp>.<body>")); with two secrets there are two,
    and a receiver that knows either secret finds its own.
    """

    def __init__(self, *keys: bytes) -> None:
        """keys: one, or two while one takes the place of the other."""
        self._keys = keys

    def write(self, items: Sequence[Item]) -> Letter:
        """The batch, its time and its signature."""
        listed = [{"id": item.id, "assignment": msgspec.Raw(item.message.value())} for item in items]
        return self._sign({"assignments": listed}, [item.id for item in items])

    def tell(self, erased: Sequence[Erased]) -> Letter:
        """{"assignments": [], "erasures": [{"id", "erasure"}]}, signed as the others.

        A receiver that knows assignments only finds none, and goes on.
        """
        listed = [{"id": it.id, "erasure": _as_erasure(it)} for it in erased]
        return self._sign({"assignments": [], "erasures": listed}, [it.id for it in erased])

    def _sign(self, content: dict[str, Any], ids: Sequence[str]) -> Letter:
        body = msgspec.json.encode(content)
        named = hashlib.sha256("\n".join(ids).encode()).hexdigest()[:32]
        name, now = f"msg_{named}", str(int(time.time()))
        signature = " ".join(sign(key, name, now, body) for key in self._keys)
        signed = {"webhook-id": name, "webhook-timestamp": now, "webhook-signature": signature}
        return Letter({**_JSON, **signed}, body)


def _as_erasure(it: Erased) -> dict[str, Any]:
    return {
        "store": it.store,
        "buyer": it.buyer,
        "partition": it.erasure.partition,
        "before_offset": it.erasure.before_offset,
        "requested_at": it.erasure.requested_at,
    }


def sign(key: bytes, name: str, timestamp: str, body: bytes) -> str:
    """One signature of the header webhook-signature, which lists them with spaces between."""
    digest = hmac.digest(key, b"%s.%s.%s" % (name.encode(), timestamp.encode(), body), "sha256")
    return f"v1,{base64.b64encode(digest).decode()}"


class SegmentIdentify:
    """Segment's HTTP API: one `identify` an assignment, the persona as traits of the pseudonym."""

    def __init__(self, write_key: str) -> None:
        basic = base64.b64encode(f"{write_key}:".encode()).decode()
        self._headers = {**_JSON, "Authorization": f"Basic {basic}"}

    def write(self, items: Sequence[Item]) -> Letter:
        """The batch; Segment knows by messageId what it got before."""
        calls = [_identify(item) for item in items]
        return Letter(
            self._headers, msgspec.json.encode({"batch": calls, "sentAt": _iso(time.time() * 1000)})
        )

    def tell(self, erased: Sequence[Erased]) -> None:
        """Nothing: with a write key nobody can be deleted, that takes a token of the workspace."""


def _identify(item: Item) -> dict[str, Any]:
    assigned = item.assignment
    return {
        "type": "identify",
        "userId": assigned.buyer,
        "messageId": item.id,
        "timestamp": _iso(assigned.assigned_at),
        "traits": {
            "persona_code": assigned.code,
            "persona_token": assigned.token,
            "persona_type": assigned.type,
            "persona_confidence": assigned.confidence,
            "persona_forecast": assigned.forecast,
            "persona_forecast_probability": assigned.forecast_probability,
            "persona_codebook_version": assigned.codebook_version,
            "persona_store": assigned.store,
        },
    }


def _iso(ms: float) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def make_form(settings: WebhookSettings) -> Form:
    """The form that the settings ask for.

    Raises:
        SinkError: there is no secret, or not one of this form.
    """
    if settings.secret is None:
        raise SinkError("set SIMPERSONA_WEBHOOK_SECRET: nobody could tell these requests from forged ones")
    secret, second = settings.secret.get_secret_value(), settings.second_secret
    if settings.form == "segment":
        if second:
            raise SinkError(
                "unset SIMPERSONA_WEBHOOK_SECOND_SECRET: Segment has one write key and no signature"
            )
        return SegmentIdentify(secret)
    keys = [_key(secret, "SIMPERSONA_WEBHOOK_SECRET")]
    if second:
        keys.append(_key(second.get_secret_value(), "SIMPERSONA_WEBHOOK_SECOND_SECRET"))
    return SignedBatch(*keys)


def _key(secret: str, name: str) -> bytes:
    """The key in a secret whsec_<base64 of the key>. name: of its variable."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not secret.startswith(_PREFIX) or not 24 <= len(key) <= 64:
        raise SinkError(
            f"{name} is not whsec_ and the base64 of 24 to 64 bytes; "
            "make one: echo whsec_$(openssl rand -base64 32)"
        )
    return key
