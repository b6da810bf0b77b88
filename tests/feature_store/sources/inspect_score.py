"""How many fields come out right with no hand at all: `python -m tests.feature_store.sources.inspect_score`.

Each file of the ingest cases, and of the folders of real data given as arguments, is inspected, and read by
the mapping that was written. Right is what the format or the mapping made by hand gives (of a case that is
not mended yet: what its table says), field by field; ids of buyers, events and orders are not compared. A
value where there is none counts as wrong. No preset and no format of a vendor is used for the inspected side.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from feature_store.contract.events import Event
from feature_store.contract.identity import PlainIds
from feature_store.errors import SimpersonaError
from feature_store.sources.inspecting.inspection import inspect_file
from feature_store.sources.inspecting.reading import records_of
from feature_store.sources.reader import open_events
from tests.feature_store.sources.ingest_cases.cases import Case, load_cases
from tests.feature_store.sources.ingest_cases.doors import take_file

FIELDS: Final = (
    "type",
    "timestamp",
    "product_id",
    "category",
    "brand",
    "price",
    "value",
    "currency",
    "quantity",
    "query",
)
Values = dict[str, Any]


def by_inspection(path: Path) -> list[Values]:
    """The events that the written mapping gives; none where it gives none."""
    with tempfile.TemporaryDirectory() as folder:
        mapping = Path(folder) / "mapping.toml"
        try:
            mapping.write_text(inspect_file(path, *records_of(path), "acme").mapping)
            source = open_events(path, identity=PlainIds(), mapping=mapping)
            return [_values(event) for batch in source.batches() for event in batch]
        except SimpersonaError:
            return []


def by_hand(case: Case) -> list[Values]:
    """What should come out of a case."""
    if case.fails is None:
        with tempfile.TemporaryDirectory() as folder:
            return [_values(event) for event in take_file(case, Path(folder)).events]
    return [_expected(fields) for fields in case.events or []]


def right_of(wanted: Sequence[Values], got: Sequence[Values]) -> tuple[int, int]:
    """(fields that are right, fields that should be)."""
    right = count = 0
    for place, fields in enumerate(wanted):
        found = got[place] if place < len(got) else {}
        for name in FIELDS:
            value, here = fields.get(name), found.get(name)
            if name not in fields or (value is None and here is None):
                continue
            count += 1
            right += value == here
    return right, count


def _values(event: Event) -> Values:
    return {name: getattr(event, name) for name in FIELDS}


def _expected(fields: Values) -> Values:
    known = {name: None if value == "(none)" else value for name, value in fields.items() if name in FIELDS}
    if "timestamp" in known:
        known["timestamp"] = round(datetime.fromisoformat(known["timestamp"]).timestamp() * 1000)
    return known


def main() -> None:
    """Print the table."""
    total, shares = [0, 0], []
    print("| file | right | of |\n|---|---|---|")
    rows = [(case.file or "", by_hand(case), case.path) for case in load_cases() if case.room != "http"]
    for folder in map(Path, sys.argv[1:]):
        for path in sorted(folder.glob("*.parquet")):
            kind = "puffy" if path.stem == "puffy_raw" else "normalised"
            source = open_events(path, identity=PlainIds(), kind=kind)
            rows.append((path.name, [_values(one) for batch in source.batches() for one in batch], path))
    for name, wanted, path in rows:
        if not wanted:
            continue
        right, count = right_of(wanted, by_inspection(path))
        if count > 1_000:  # a file of real data weighs as much as a large case
            right, count = round(100 * right / count), 100
        total[0] += right
        total[1] += count
        shares.append(right / count)
        print(f"| {name} | {right} | {count} |")
    mean = 100 * sum(shares) / len(shares)
    print(f"\n{total[0]} of {total[1]} fields, {100 * total[0] / total[1]:.1f} %; mean of files {mean:.1f} %")


if __name__ == "__main__":
    main()
