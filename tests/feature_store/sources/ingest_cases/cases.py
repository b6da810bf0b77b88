"""Read the tables of cases, and find where what came out differs from what is expected."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec

from feature_store.contract.events import Event
from feature_store.fold.vector import SCALARS
from feature_store.history.offline_fold import History

ROOMS: Final = ("ga4", "shopify", "segment", "mapped", "contract", "http")
FOLDER: Final = Path(__file__).parent
_NONE: Final = "(none)"


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One input, and what its sender expects."""

    number: str
    room: Literal["ga4", "shopify", "segment", "mapped", "contract", "http"]
    source: str
    options: str
    file: str | None = None
    body: str | None = None
    mapping: str | None = None
    events: list[dict[str, Any]] | None = None
    folded: dict[str, float] = {}
    skipped: dict[str, int] = {}
    refused: str | None = None
    fails: str | None = None

    @property
    def path(self) -> Path:
        """The input file."""
        assert self.file is not None
        return FOLDER / self.room / self.file

    @property
    def expected(self) -> str:
        """The expectation in a line."""
        if self.refused is not None:
            return f"refused, with `{self.refused}`"
        parts = [", ".join(_words(fields) for fields in self.events)] if self.events else []
        parts += [f"{name} {value:g}" for name, value in self.folded.items()]
        parts += [f"skipped {reason} {count}" for reason, count in self.skipped.items()]
        return "; ".join(parts)


class Got(NamedTuple):
    """What came out: the events, how many items were skipped by reason, and all that was printed."""

    events: list[Event]
    skipped: dict[str, int]
    printed: str


def load_cases() -> list[Case]:
    """Every case of every room, in the rooms' order."""
    cases = []
    for room in ROOMS:
        table = tomllib.loads((FOLDER / room / "cases.toml").read_text())
        options = table.pop("options")
        for number, fields in table.items():
            cases.append(msgspec.convert({"number": number, "room": room, "options": options} | fields, Case))
    return cases


def differences(case: Case, got: Got) -> list[str]:
    """What is not as expected, a sentence each; none: all is right."""
    if case.refused is not None:
        if got.events:
            return [f"taken as {len(got.events)} events"]
        return (
            []
            if re.search(case.refused, got.printed)
            else [f"the message lacks {case.refused}: {got.printed}"]
        )
    found = [] if case.events is None else _event_differences(case.events, got)
    for reason, count in case.skipped.items():
        if got.skipped.get(reason, 0) != count:
            found.append(f"skipped {got.skipped}, not {reason} {count}")
    if case.folded and not found:
        found += _folded_differences(case.folded, got.events)
    return found


def _event_differences(expected: Sequence[dict[str, Any]], got: Got) -> list[str]:
    if len(expected) != len(got.events):
        return [f"{len(got.events)} events, not {len(expected)}: {got.printed}"]
    return [
        f"event {place}: {name} is {getattr(event, name)!r}, not {value!r}"
        for place, (fields, event) in enumerate(zip(expected, got.events, strict=True))
        for name, value in fields.items()
        if getattr(event, name) != _value(name, value)
    ]


def _value(name: str, value: Any) -> Any:
    if name == "timestamp":
        return round(datetime.fromisoformat(value).timestamp() * 1000)
    return None if value == _NONE else value


def _folded_differences(expected: dict[str, float], events: Sequence[Event]) -> list[str]:
    history = History()
    history.add(events)
    if len(history.buyers) != 1:
        return [f"{len(history.buyers)} buyers, not one"]
    scalars = dict(zip((scalar.name for scalar in SCALARS), history.vectors()[0].tolist(), strict=False))
    return [
        f"{name} is {scalars[name]:g}, not {value:g}"
        for name, value in expected.items()
        if round(scalars[name], 2) != value
    ]


def _words(fields: dict[str, Any]) -> str:
    return " ".join(value if name == "type" else f"{name} {value}" for name, value in fields.items())
