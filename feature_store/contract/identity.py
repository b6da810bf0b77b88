"""Pseudonyms of buyers: raw ids from a shop never reach a topic.

A buyer is the HMAC-SHA-256 of the raw id (RFC 2104) under a key derived per store from the master key, in the
manner of HKDF-Expand (RFC 5869): two stores cannot link a shopper, and one store's key reveals no other's.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import os
import secrets
import string
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Final, Protocol

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from feature_store.errors import IdentityKeyError
from feature_store.settings import Settings

KEY_FILE: Final = "id.key"
MIN_KEY_BYTES: Final = 16
PSEUDONYM_BYTES: Final = 16
"""128 bits, 32 hex digits: among 10^12 buyers of a store, two share a pseudonym with odds below 10^-14."""


class IdentitySettings(Settings):
    """Where buyer pseudonyms get their key."""

    model_config = SettingsConfigDict(env_prefix="SIMPERSONA_")

    id_key: SecretStr | None = Field(
        default=None,
        description="master key of buyer pseudonyms, at least 16 random bytes in hex or base64; losing it "
        "makes every buyer a stranger; unset: the key file that the demo makes in the data folder",
    )


class Identity(Protocol):
    """What an adapter needs to name a buyer and an event."""

    def buyer(self, store: str, raw_id: str) -> str:
        """The buyer's name in events for the shop's raw id."""

    def event_id(self, store: str, content: bytes) -> str:
        """A name for an event whose vendor gave it none: equal for equal content."""


class BuyerHasher:
    """Pseudonyms under the master key; store keys are derived once."""

    def __init__(self, master_key: bytes) -> None:
        self._master_key = master_key
        self._keys: dict[str, bytes] = {}

    def buyer(self, store: str, raw_id: str) -> str:
        """The pseudonym of the shop's raw id: 32 hex digits. Pure in (key, store, raw_id)."""
        return self._digest("buyer/" + store, raw_id.encode())

    def event_id(self, store: str, content: bytes) -> str:
        """32 hex digits; keyed too, since the content may hold what a dictionary could guess."""
        return self._digest("event/" + store, content)

    def _digest(self, purpose: str, message: bytes) -> str:
        key = self._keys.get(purpose)
        if key is None:
            key = hmac.digest(self._master_key, f"simpersona/{purpose}".encode(), "sha256")
            self._keys[purpose] = key
        return hmac.digest(key, message, "sha256")[:PSEUDONYM_BYTES].hex()


class LazyBuyerHasher:
    """A BuyerHasher whose key is asked for at the first raw id: contract and normalised files have none."""

    def __init__(self, home: Path) -> None:
        self._home = home

    @cached_property
    def _hasher(self) -> BuyerHasher:
        return BuyerHasher(load_id_key(self._home))

    def buyer(self, store: str, raw_id: str) -> str:
        """See BuyerHasher; raises IdentityKeyError where there is no key."""
        return self._hasher.buyer(store, raw_id)

    def event_id(self, store: str, content: bytes) -> str:
        """See BuyerHasher; raises IdentityKeyError where there is no key."""
        return self._hasher.event_id(store, content)


class PlainIds:
    """Keeps the ids of a file, for offline work on a file that stays where it is; never for a topic."""

    def buyer(self, store: str, raw_id: str) -> str:
        """The raw id itself."""
        return raw_id

    def event_id(self, store: str, content: bytes) -> str:
        """32 hex digits of SHA-256 over store and content."""
        return hashlib.sha256(store.encode() + b"\0" + content).digest()[:PSEUDONYM_BYTES].hex()


def load_id_key(home: Path, *, create: bool = False) -> bytes:
    """The master key: SIMPERSONA_ID_KEY, else the key file in the data folder `home`.

    With `create` (the demo), a missing key file is made: 32 random bytes as hex, mode 0600, atomically; two
    processes that do so at once both get the key of the one that was first.

    Raises:
        IdentityKeyError: no key is set, or it is not hex or base64 of at least 16 bytes.
    """
    configured = IdentitySettings().id_key
    if configured is not None:
        return _parse_key(configured.get_secret_value(), "SIMPERSONA_ID_KEY")
    path = home / KEY_FILE
    if create and not path.exists():
        _create_key_file(path)
    try:
        text = path.read_text("ascii", errors="replace")
    except FileNotFoundError:
        raise IdentityKeyError(
            f"buyer ids need a key: set SIMPERSONA_ID_KEY to the hex of 32 random bytes (there is no {path})"
        ) from None
    except OSError as error:
        raise IdentityKeyError(f"cannot read the key of buyer ids: {error}") from None
    return _parse_key(text, str(path))


def _parse_key(text: str, source: str) -> bytes:
    text = text.strip()
    try:
        if len(text) % 2 == 0 and set(text) <= set(string.hexdigits):
            key = bytes.fromhex(text)
        else:
            padded = text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
            key = base64.b64decode(padded, altchars=b"-_" if set(text) & set("-_") else None, validate=True)
    except (binascii.Error, ValueError):
        raise IdentityKeyError(f"{source} is neither hex nor base64") from None
    if len(key) < MIN_KEY_BYTES:
        raise IdentityKeyError(
            f"{source} holds {len(key)} bytes; a key needs at least {MIN_KEY_BYTES} random bytes"
        )
    return key


def _create_key_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{KEY_FILE}.")  # mkstemp makes it 0600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # link, not rename: the first key stays
            Path(path).hardlink_to(temporary)
    finally:
        Path(temporary).unlink()
