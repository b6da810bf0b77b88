"""What reading a source of events found, in counts and a few examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from feature_store.contract.events import Event
from feature_store.sources.unmapped import UnmappedName
from feature_store.sources.values.notes import Note, Tallies, count_note

_EXAMPLES: Final = 5
_READ_AS: Final = 8


class SourceReport(msgspec.Struct):
    """What was read so far. A record is a line, a value or a row; a payload may hold several events or none.

    files: how many there are; ignored: those of a folder that hold no events. read_as: what was taken from
    looking at the files, each sentence once.
    skipped: items that are no events of ours (bots, unmapped names); invalid: broken ones; both by reason.
    repaired, emptied, assumed: values of events that were not taken as sent, by field and reason.
    unmapped: names of events that nothing here knows.
    looks_like: the format of which the first record is that was refused as an event of the contract.
    first_timestamp, last_timestamp: ms since the epoch, the least and the greatest event time.
    """

    path: str
    format: str
    files: int = 1
    ignored: list[str] = []
    read_as: list[str] = []
    records: int = 0
    events: int = 0
    types: dict[str, int] = {}
    first_timestamp: int | None = None
    last_timestamp: int | None = None
    skipped: dict[str, int] = {}
    invalid: dict[str, int] = {}
    examples: list[str] = []
    repaired: Tallies = {}
    emptied: Tallies = {}
    assumed: Tallies = {}
    unmapped: dict[str, UnmappedName] = {}
    looks_like: str | None = None

    def add_read_as(self, sentences: Sequence[str]) -> None:
        """Note what was taken from looking at a file."""
        new = [sentence for sentence in sentences if sentence not in self.read_as]
        self.read_as += new[: _READ_AS - len(self.read_as)]

    def add_events(self, events: Sequence[Event]) -> None:
        """Count events."""
        self.events += len(events)
        for name, count in Counter(event.type for event in events).items():
            self.types[name] = self.types.get(name, 0) + count
        times = [event.timestamp for event in events]
        self.first_timestamp = min(filter(None, [self.first_timestamp, *times]))
        self.last_timestamp = max(filter(None, [self.last_timestamp, *times]))

    def add_skipped(self, reason: str, count: int) -> None:
        """Count items that are no events."""
        self.skipped[reason] = self.skipped.get(reason, 0) + count

    def add_invalid(self, reason: str, count: int, examples: Sequence[str]) -> None:
        """Count broken items, and keep the first few examples of the file."""
        self.invalid[reason] = self.invalid.get(reason, 0) + count
        self.examples += examples[: _EXAMPLES - len(self.examples)]

    def add_notes(self, notes: Sequence[Note]) -> None:
        """Count values that were not taken as sent."""
        for note in notes:
            count_note(getattr(self, note.kind), note)

    @property
    def not_taken(self) -> str:
        """Why records gave no event, in a sentence: reasons with counts, and the first broken record."""
        reasons = ", ".join(f"{count} {reason}" for reason, count in (self.invalid | self.skipped).items())
        example = f"; {self.examples[0]}" if self.examples else ""
        like = "" if self.looks_like is None else f"; it looks like --format {self.looks_like}"
        return f"of {self.records} records not taken: {reasons}{example}{like}"
