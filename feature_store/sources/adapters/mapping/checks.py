"""What must hold in a mapping file beyond the type of each key."""

from __future__ import annotations

import codecs
import re
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from feature_store.errors import AdapterError
from feature_store.sources.adapters.mapping.language import Dialect, MappingFile
from feature_store.sources.adapters.mapping.places import within

_CURRENCY: Final = re.compile(r"[A-Z]{3}")


def check_file(file: MappingFile) -> None:
    """Check what no type can say.

    Raises:
        MappingError: what is wrong, and at which key.
    """
    with within():
        _check_presence(file)
    if file.timezone is not None:
        with within("timezone"):
            _check_zone(file.timezone)
    if file.currency is not None and not _CURRENCY.fullmatch(file.currency):
        with within("currency"):
            raise AdapterError(f"{file.currency!r} is no ISO 4217 code of three capital letters, as EUR is")
    if file.dialect is not None:
        with within("dialect"):
            _check_dialect(file.dialect)


def _check_presence(file: MappingFile) -> None:
    if file.buyer is None and file.anonymous_id is None and file.user_id is None:
        raise AdapterError("it does not say who the buyer is: add `buyer`, `anonymous_id` or `user_id`")
    if not file.events and not file.names:
        raise AdapterError("it maps no event: add [[events]] rules, or `event` and [names]")
    if file.names and file.event is None:
        raise AdapterError("[names] needs `event`, the path to the event's name")


def _check_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise AdapterError(f"there is no zone {name!r}; a zone is UTC or a name as Europe/Berlin") from None


def _check_dialect(dialect: Dialect) -> None:
    if dialect.encoding is not None:
        with within("encoding"):
            try:
                codecs.lookup(dialect.encoding)
            except (LookupError, ValueError):
                raise AdapterError(f"there is no encoding {dialect.encoding!r}; cp1252 is one") from None
    columns = dialect.columns or []
    if len(set(columns)) < len(columns):
        with within("columns"):
            twice = next(name for name in columns if columns.count(name) > 1)
            raise AdapterError(f"the column {twice!r} is named twice")
