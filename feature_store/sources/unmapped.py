"""Names of events that no rule knows, counted, each with the known name that is nearest to it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Final

import msgspec

from feature_store.sources.adapters.common import spelling
from feature_store.sources.values.notes import redacted

OTHERS: Final = "(others)"
"""Where names are counted once there are MOST_NAMES of them."""
MOST_NAMES: Final = 100
_SHOWN: Final = 64
_PRIVATE: Final = re.compile(r"@|[0-9]{6}|[0-9a-fA-F]{16}")
_ALIKE: Final = 0.6


class UnmappedName(msgspec.Struct):
    """How often an unknown name came. nearest: the known name that is most like it, if one is like it."""

    count: int
    nearest: str | None = None


def count_names(into: dict[str, UnmappedName], names: Iterable[str], known: Iterable[str]) -> None:
    """Count unknown names. A name that may hold an id or an address is shown without letters and digits."""
    for name in names:
        shown = shown_name(name)
        if shown not in into and len(into) >= MOST_NAMES:
            shown = OTHERS
        if shown in into:
            into[shown].count += 1
        else:
            into[shown] = UnmappedName(1, None if shown == OTHERS else nearest_name(shown, known))


def shown_name(name: str) -> str:
    """A name as a report may show it."""
    if _PRIVATE.search(name):
        return redacted(name)
    return "".join(letter if letter.isprintable() else "?" for letter in name[:_SHOWN])


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """The known name most like this one in any spelling; None: none is like it."""
    spelt = {spelling(one): one for one in known}
    found = difflib.get_close_matches(spelling(name), spelt, 1, _ALIKE)
    return spelt[found[0]] if found else None
