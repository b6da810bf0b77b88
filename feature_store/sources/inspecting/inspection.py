"""What a file is, what would become of it, and the mapping that reads it."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from feature_store.contract.events import Event
from feature_store.contract.identity import PlainIds
from feature_store.errors import EventSourceError
from feature_store.sources.adapters.mapping.loading import load_mapping
from feature_store.sources.inspecting import words
from feature_store.sources.inspecting.drafting import Draft, draft
from feature_store.sources.inspecting.profile import Field
from feature_store.sources.inspecting.roles import Roles, find_roles

SAMPLE: Final = 5_000
LOOKED_AT: Final = 200_000
_EXAMPLES: Final = 10
_NO_STORE: Final = "inspected"


class NamedEvent(msgspec.Struct, frozen=True):
    """A name that records give to events; becomes: our type, None: none."""

    name: str
    count: int
    becomes: str | None


class Place(msgspec.Struct, frozen=True):
    """Where a role's value is, and which part of the records has one."""

    role: str
    path: str
    filled: float


class Inspection(msgspec.Struct, kw_only=True):
    """What was found.

    records: looked at. bots: share of the items. lost: why items are no events, with counts. emptied: fields
    and why their values were left out, with counts. examples: events, ids hidden. mapping: the file to write.
    missing: without these nothing can be read.
    """

    path: str
    layout: str
    records: int
    each: str | None
    time_unit: str
    zone: str | None
    places: list[Place]
    names: list[NamedEvent]
    bots: float
    events: int
    lost: dict[str, int]
    details: list[str]
    emptied: dict[str, int]
    examples: list[dict[str, Any]]
    mapping: str
    missing: list[str]


def inspect_file(
    path: Path, layout: str, records: Iterator[Any], store: str | None = None, timezone: str | None = None
) -> Inspection:
    """Look at a sample of a file's records. layout: what it is, in words; timezone: of times that name none.

    Raises:
        EventSourceError: it holds no records.
    """
    sample = sampled(records)
    if not sample:
        raise EventSourceError(f"{path} holds no records")
    roles = find_roles(sample)
    count = max([field.filled for field in [*roles.event, *roles.time]], default=0)
    drafted = draft(roles, count, store, timezone)
    found = Inspection(
        path=str(path),
        layout=layout,
        records=len(sample),
        each=roles.each,
        time_unit=drafted.clock.unit,
        zone=(timezone or "UTC (assumed)") if drafted.clock.zoneless else None,
        places=_places(roles, count),
        names=[NamedEvent(name, n, words.meaning(name)) for name, n in drafted.names.most_common(50)],
        bots=0.0,
        events=0,
        lost={},
        details=[],
        emptied={},
        examples=[],
        mapping=drafted.text,
        missing=drafted.missing,
    )
    if not drafted.missing:
        _try(found, drafted, sample)
    return found


def sampled(records: Iterator[Any]) -> list[Any]:
    """At most SAMPLE of the first LOOKED_AT records, evenly spread, in order."""
    kept: list[Any] = []
    stride = 1
    for number, record in zip(range(LOOKED_AT), records, strict=False):
        if number % stride == 0:
            kept.append(record)
        if len(kept) > SAMPLE:
            kept, stride = kept[::2], stride * 2
    return kept


def _try(found: Inspection, drafted: Draft, sample: Sequence[Any]) -> None:
    """Read the sample through the mapping, as `events check --mapping` will."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mapping.toml"
        path.write_text(drafted.text)
        pixel = load_mapping(path)
    lost, emptied, hidden = Counter[str](), Counter[str](), dict[str, str]()
    for record in sample:
        adapted = pixel.adapt(record, store=pixel.file.store or _NO_STORE, hasher=PlainIds())
        found.events += len(adapted.events)
        lost.update({str(reason): n for reason, n in adapted.skipped.items()})
        emptied.update(f"{note.field}: {note.reason}" for note in adapted.notes if note.kind == "emptied")
        found.details += adapted.details[: 5 - len(found.details)]
        for event in adapted.events[: _EXAMPLES - len(found.examples)]:
            found.examples.append(_hidden(event, hidden))
    found.lost, found.emptied = dict(lost.most_common()), dict(emptied.most_common())
    found.bots = round(lost["bot"] / max(found.events + lost.total(), 1), 4)


def _hidden(event: Event, names: dict[str, str]) -> dict[str, Any]:
    """An event without ids of shoppers, sessions and orders; one shopper keeps one letter and number."""
    shown = {
        name: value
        for name, value in msgspec.to_builtins(event).items()
        if value is not None
        and name
        in ("type", "timestamp", "product_id", "category", "brand", "price", "currency", "quantity", "value")
    }
    return {"buyer": names.setdefault(event.buyer, f"b{len(names) + 1}"), **shown}


def _places(roles: Roles, count: int) -> list[Place]:
    found = []
    for role, fields in roles._asdict().items():
        if isinstance(fields, list) and fields:
            first: Field = fields[0]
            found.append(Place(role, first.path, round(min(first.filled / max(count, 1), 1.0), 3)))
    return found
