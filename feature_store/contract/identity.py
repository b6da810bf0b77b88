"""Pseudonyms of buyers: raw ids from a shop never reach a topic.

A buyer is the HMAC-SHA-256 of the raw id (RFC 2104) under a key derived per store from the master key, in the
manner of HKDF-Expand (RFC 5869): two stores cannot link a shopper, and one store's key reveals no other's.

The master key can be replaced (docs/adr/0052). A new key hashes the pseudonym that the one before makes, so
that what is known under an old key can be renamed without anybody's raw id. A pseudonym says which key is the
last in its chain: those of the first key are 32 hex digits, those of the second begin with `2-`.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import os
import re
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


_PSEUDONYM: Final = re.compile(r"(?:([2-9]|[1-9][0-9]{1,3})-)?[0-9a-f]{32}")
_HEX: Final = re.compile(r"[0-9a-f]{32}")


class IdentitySettings(Settings):
    """Where buyer pseudonyms get their key."""

    model_config = SettingsConfigDict(env_prefix="SIMPERSONA_")

    id_key: SecretStr | None = Field(
        default=None,
        description="master key of buyer pseudonyms, at least 16 random bytes in hex or base64; after a "
        "rotation all keys, the oldest first, with commas; losing one makes every buyer a stranger; unset: "
        "the key file that the demo makes in the data folder",
    )


class Identity(Protocol):
    """What an adapter needs to name a buyer and an event."""

    def buyer(self, store: str, raw_id: str) -> str:
        """The buyer's name in events for the shop's raw id."""

    def event_id(self, store: str, content: bytes) -> str:
        """A name for an event whose vendor gave it none: equal for equal content."""


class BuyerHasher:
    """Pseudonyms under the master keys, the oldest first; store keys are derived once."""

    def __init__(self, *master_keys: bytes) -> None:
        self._master_keys = master_keys
        self._derived: dict[tuple[int, str], bytes] = {}

    def buyer(self, store: str, raw_id: str) -> str:
        """The pseudonym of the shop's raw id under the newest key. Pure in (keys, store, raw_id)."""
        return self._up(store, self._digest(1, "buyer/" + store, raw_id.encode()), 1)[-1]

    def buyers(self, store: str, raw_id: str) -> list[str]:
        """The pseudonyms of a raw id under each key, the newest first: a buyer may be known under any."""
        return self._up(store, self._digest(1, "buyer/" + store, raw_id.encode()), 1)[::-1]

    def later(self, store: str, pseudonym: str) -> list[str]:
        """The same buyer under every later key, the newest first, down to `pseudonym` itself. A name of
        another form, or of a key that is not here, has no other."""
        found = _PSEUDONYM.fullmatch(pseudonym)
        if found is None:
            return [pseudonym]
        return self._up(store, pseudonym, int(found[1] or 1))[::-1]

    def event_id(self, store: str, content: bytes) -> str:
        """32 hex digits; keyed too, since the content may hold what a dictionary could guess."""
        first = self._digest(1, "event/" + store, content)
        return self._later_ids(store, first, 1)

    def later_event_id(self, store: str, event_id: str, generation: int) -> str:
        """An id that `event_id` made, when there were so many keys, under the newest. One of another form
        is the shop's own, and stays."""
        return self._later_ids(store, event_id, generation) if _HEX.fullmatch(event_id) else event_id

    def generation(self, pseudonym: str) -> int:
        """How many keys made a pseudonym: the newest generation for any other name, which stays as it is."""
        found = _PSEUDONYM.fullmatch(pseudonym)
        return len(self._master_keys) if found is None else min(int(found[1] or 1), len(self._master_keys))

    def _up(self, store: str, pseudonym: str, generation: int) -> list[str]:
        chain = [pseudonym]
        for later in range(generation + 1, len(self._master_keys) + 1):
            chain.append(f"{later}-{self._digest(later, 'buyer/' + store, chain[-1].encode())}")
        return chain

    def _later_ids(self, store: str, event_id: str, generation: int) -> str:
        for later in range(generation + 1, len(self._master_keys) + 1):
            event_id = self._digest(later, "event/" + store, event_id.encode())
        return event_id

    def _digest(self, generation: int, purpose: str, message: bytes) -> str:
        key = self._derived.get((generation, purpose))
        if key is None:
            master = self._master_keys[generation - 1]
            key = hmac.digest(master, f"simpersona/{purpose}".encode(), "sha256")
            self._derived[generation, purpose] = key
        return hmac.digest(key, message, "sha256")[:PSEUDONYM_BYTES].hex()


class LazyBuyerHasher:
    """A BuyerHasher whose key is asked for at the first raw id: contract and normalised files have none."""

    def __init__(self, home: Path) -> None:
        self._home = home

    @cached_property
    def _hasher(self) -> BuyerHasher:
        return BuyerHasher(*load_id_keys(self._home))

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


def load_id_keys(home: Path, *, create: bool = False) -> list[bytes]:
    """The master keys, the oldest first: SIMPERSONA_ID_KEY, else the key file in the data folder `home`.

    With `create` (the demo), a missing key file is made: 32 random bytes as hex, mode 0600, atomically; two
    processes that do so at once both get the key of the one that was first.

    Raises:
        IdentityKeyError: no key is set, or one is not hex or base64 of at least 16 bytes.
    """
    configured = IdentitySettings().id_key
    if configured is not None:
        return _parse_keys(configured.get_secret_value(), "SIMPERSONA_ID_KEY")
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
    return _parse_keys(text, str(path))


def add_id_key(home: Path) -> str | None:
    """Add a new key after those that are there. Returns the new value of SIMPERSONA_ID_KEY where that is
    set; else the key file in `home` is replaced, atomically, and None is returned.

    Raises:
        IdentityKeyError: there is no key yet, or the file cannot be written.
    """
    texts = [key.hex() for key in load_id_keys(home)] + [secrets.token_hex(32)]
    if IdentitySettings().id_key is not None:
        return ",".join(texts)
    path = home / KEY_FILE
    try:
        written = _write_key_file(path, "\n".join(texts) + "\n")
        written.rename(path)
    except OSError as error:
        raise IdentityKeyError(f"cannot write the key of buyer ids: {error}") from None
    return None


def _parse_keys(text: str, source: str) -> list[bytes]:
    """Keys with commas or on lines of their own."""
    parts = [part.strip() for part in re.split("[,\n]", text.strip())]
    return [_parse_key(part, source) for part in parts]


def _parse_key(text: str, source: str) -> bytes:
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
    temporary = _write_key_file(path, secrets.token_hex(32) + "\n")
    try:
        with contextlib.suppress(FileExistsError):  # link, not rename: the first key stays
            Path(path).hardlink_to(temporary)
    finally:
        temporary.unlink()


def _write_key_file(path: Path, text: str) -> Path:
    """A new file beside the key file with this text, on disk; mkstemp makes it 0600."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{KEY_FILE}.")
    with os.fdopen(handle, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return Path(temporary)
