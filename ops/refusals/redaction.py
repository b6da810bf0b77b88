"""Show how a refused record is built without showing what is in it."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

_MOST_CHARS: Final = 1_200
_TEXT_CHARS: Final = 40
_MOST_ITEMS: Final = 3
_MOST_KEYS: Final = 60
_DEEPEST: Final = 6
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$.\- ]{0,63}")
_LONG_NUMBER: Final = re.compile(r"\d{4}")
_DIGIT: Final = re.compile(r"\d")
_QUOTED: Final = re.compile(r"(?<= )'(?:.*'|.*$)", re.DOTALL)


def redacted(raw: bytes) -> str:
    """A record with its structure kept: names of members stay, every letter of a value becomes a or A, and
    every digit 9. At most about 1,200 characters."""
    try:
        shown = msgspec.json.encode(_masked(msgspec.json.decode(raw), 0)).decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        shown = masked(raw[:_MOST_CHARS].decode("utf-8", "replace"))
    return shown if len(shown) <= _MOST_CHARS else shown[:_MOST_CHARS] + "…"


def redacted_sentence(detail: str) -> str:
    """A dead letter's sentence without the value that the decoder quotes in it."""
    return _QUOTED.sub(lambda found: masked(found.group()), detail)


def masked(text: str) -> str:
    """A text's shape."""
    return "".join(map(_mask, text))


def _mask(letter: str) -> str:
    if letter.isalpha():
        return "A" if letter.isupper() else "a"
    if letter.isnumeric():
        return "9"
    return letter


def _masked(value: Any, depth: int) -> Any:
    if isinstance(value, dict):
        kept = list(value.items())[: _MOST_KEYS if depth < _DEEPEST else 0]
        left = {"…": len(value) - len(kept)} if len(kept) < len(value) else {}
        return {_key(name): _masked(one, depth + 1) for name, one in kept} | left
    if isinstance(value, list):
        items = [_masked(one, depth + 1) for one in value[: _MOST_ITEMS if depth < _DEEPEST else 0]]
        return items if len(items) == len(value) else [*items, f"… {len(value) - len(items)} more"]
    if isinstance(value, str):
        cut = masked(value[:_TEXT_CHARS])
        return cut if len(value) <= _TEXT_CHARS else f"{cut}… ({len(value)} characters)"
    if isinstance(value, bool) or value is None:
        return value
    return msgspec.Raw(_DIGIT.sub("9", repr(value)).encode())


def _key(name: str) -> str:
    plain = _PLAIN_KEY.fullmatch(name) is not None and _LONG_NUMBER.search(name) is None
    return name if plain else masked(name[:_TEXT_CHARS])
