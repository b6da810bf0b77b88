"""What a user says of a source of events beside its path: --format, --mapping, --store and so on."""

from __future__ import annotations

from datetime import UTC, tzinfo
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from feature_store.errors import EventSourceError
from feature_store.sources.values.context import DecimalSign


class SourceChoice(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of a source; None: the source itself says it, or its mapping file.

    kind: name of the format. mapping: path of a mapping file. store: whose events they are. timezone: of
    times that name none, as IANA names it. decimal: the decimal sign of amounts in text.
    """

    kind: str | None = None
    mapping: str | None = None
    store: str | None = None
    timezone: str | None = None
    decimal: DecimalSign | None = None

    @property
    def given(self) -> bool:
        """Whether anything is said."""
        return self != NOTHING_SAID

    def resolved(self) -> SourceChoice:
        """The same, read from another working directory."""
        if self.mapping is None:
            return self
        return msgspec.structs.replace(self, mapping=str(Path(self.mapping).resolve()))


NOTHING_SAID: Final = SourceChoice()
"""The sources say all of themselves."""


def zone_of(name: str) -> tzinfo:
    """The time zone of an IANA name, or UTC.

    Raises:
        EventSourceError: there is none.
    """
    if name.upper() in ("UTC", "Z", "GMT"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise EventSourceError(
            f"there is no time zone {name!r}: name it as Europe/Berlin, America/New_York or UTC"
        ) from None
