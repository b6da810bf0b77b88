"""One name for an order, however a system spells its number."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

_GID: Final = re.compile(r"gid://[^/\s]+/[^/\s]+/([^/?\s]+)(?:\?.*)?")
_BASE64_GID: Final = "Z2lkOi8v"
"""How "gid://" begins in base64, as Shopify's older APIs write ids."""


def order_name(sent: str) -> str:
    """The order number without what one of two systems adds to it: blanks, "#", gid://shopify/Order/."""
    name = sent.strip()
    if name.startswith(_BASE64_GID):
        try:
            name = base64.b64decode(name, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return name
    found = _GID.fullmatch(name)
    return (name if found is None else found[1]).removeprefix("#") or sent
