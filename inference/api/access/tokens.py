"""Short-lived tokens with which a shop's page reads the persona of its own shopper, and nothing else.

A token is `spt_<claims>.<signature>`: base64url of JSON that names store, pseudonym, end and the key that
made it, and HMAC-SHA-256 over that text under a key derived from the master key of buyer ids. Nothing is
decoded before the signature was compared, in constant time. Nobody keeps tokens; one ends when its time is
over, or when the key that made it is revoked.
"""

from __future__ import annotations

import base64
import hmac
from typing import Final

import msgspec

PREFIX: Final = "spt_"
_PURPOSE: Final = b"simpersona/shopper-token/1"
_LONGEST: Final = 1_024


class ShopperClaims(msgspec.Struct, frozen=True, kw_only=True):
    """What a token says. buyer: the pseudonym. key: id of the API key that made it. until: ms UTC."""

    store: str
    buyer: str
    key: str
    until: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ShopperClaims).decode


class ShopperTokens:
    """Makes and reads tokens under one master key; every process that has the key reads them."""

    def __init__(self, master_key: bytes) -> None:
        self._key = hmac.digest(master_key, _PURPOSE, "sha256")

    def make(self, claims: ShopperClaims) -> str:
        """The token with these claims."""
        signed = PREFIX + _text(_encode(claims))
        return f"{signed}.{self._signature(signed)}"

    def read(self, token: str, now_ms: int) -> ShopperClaims | None:
        """What a token says that was made here and is not over; None for any other text."""
        signed, _, signature = token.partition(".")
        if len(token) > _LONGEST or not token.isascii():
            return None
        if not hmac.compare_digest(signature, self._signature(signed)) or not signed.startswith(PREFIX):
            return None
        claims = _decode(base64.urlsafe_b64decode(signed[len(PREFIX) :] + "=="))
        return claims if claims.until > now_ms else None

    def _signature(self, signed: str) -> str:
        return _text(hmac.digest(self._key, signed.encode(), "sha256"))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
