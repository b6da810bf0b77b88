"""Window counts of one partition anew, from the log, by the counting of the live path.

Counts are kept under a codebook version. Where one version followed another is not always known to the offset
(see ops.verify.expected.assigned), and an event before an erasure may have been counted or not. What such
events touch is marked: there the votes are not judged, the counts of events are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.contract.events import Event
from feature_store.fold.behavior import COUNTER, EventColumns
from feature_store.fold.table import StateTable
from feature_store.fold.vectors import Steps
from feature_store.online.changes import SENT, Sent
from inference.counts.counting import Arrivals, BuyersBefore, ProfileTable, WindowRule, buyers_before, count
from inference.counts.profile import LATENT_EDGES, TALLY, Counts
from inference.counts.windows import OTHERS
from inference.encoders.encoder import Encoding
from ops.verify.expected.ties import TIE

UNKNOWN: Final = None
"""Stands for the codebook version where more than one may have counted."""
Whose = tuple[str | None, str]
"""(codebook version, store) of a profile."""
TYING: Final = ("codes", "types", "confidence", "distance", "margin")
"""Features that come out of floating point: another runtime may count a tie in the next cell."""
_REFUSED: Final = TALLY["refused"]
_LAST_TIME: Final = COUNTER["last_time"]


@dataclass
class Window:
    """What must be counted of one window of event time."""

    profiles: dict[Whose, Counts] = field(default_factory=dict)
    ties: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TYING, 0))
    """Feature -> votes that another runtime may have cast in another cell."""
    first_created: int = 2**62
    last_created: int = 0
    """CreateTimes (ms) of the first and the last record that touched it."""
    lost: int = 0
    """Records that the archive no longer has: so many more may have been refused."""
    is_in_part: bool = False
    """Whether the votes cannot be known."""
    erased: set[str] = field(default_factory=set)
    """Stores of which nothing can be known."""


class Votes(NamedTuple):
    """What each step of a piece votes for: what was sent last, int16 [n, 5], and distance and margin as they
    are here; ties bool [n], where the worker may have voted otherwise."""

    encoding: Encoding
    sent: Sent
    ties: NDArray[np.bool_]


class Piece(NamedTuple):
    """Events that are counted under one version, noted before they are folded."""

    was: BuyersBefore
    arrivals: Arrivals
    watermark: NDArray[np.int64]
    version: str | None


class Recount:
    """Counts one partition. For each batch of the fold: `refuse` and `leave_out`, `mark`, then its pieces."""

    def __init__(
        self, length_ms: int, lateness_ms: int, erased_before: int, table: StateTable[bytes]
    ) -> None:
        """erased_before: below this offset somebody was erased. table: the states that the fold changes."""
        self._windows, self._erased_before, self._states = (
            WindowRule(length_ms, lateness_ms),
            erased_before,
            table,
        )
        self.found: defaultdict[int, Window] = defaultdict(Window)
        """By window number; complete after `finish`."""
        self.has_lost = False
        """Whether the archive has holes."""
        self._counts = ProfileTable()
        self._numbers: dict[Whose, int] = {}
        self._voted = np.full((0, 4), -1, dtype=np.int64)
        """Segment, code, type and band of each slot's last vote."""
        self._segments: list[str | None] = []
        self._pending: list[tuple[int, Event | Whose | None, int]] = []
        self._marks = np.zeros(1, dtype=np.int64)

    # ---- what is not folded

    def refuse(self, place: int, version: str | None) -> None:
        """A record was refused after `place` accepted ones of the batch."""
        self._pending.append((place, (version, OTHERS), 1))

    def lose(self, place: int, lost: int, offset: int) -> None:
        """The archive does not say what so many records were: refused, or of a buyer who was erased later."""
        self.has_lost = True
        self._pending.append((place, None, lost if offset >= self._erased_before else -lost))

    def leave_out(self, place: int, event: Event) -> None:
        """An event from before its buyer's erasure: the worker counted it if it came before the request."""
        self._pending.append((place, event, 0))

    def mark(self, times: NDArray[np.int64], watermark: int) -> None:
        """The batch's accepted events are of these times (ms), and the watermark was so high before."""
        self._marks = np.maximum.accumulate(np.concatenate([[watermark], times]))
        length = self._windows.length_ms
        for place, what, records in self._pending:
            number = int(self._marks[place]) // length
            if isinstance(what, Event):
                for window in {number, what.timestamp // length}:
                    self.found[window].erased.add(what.store)
                if what.timestamp > self._marks[place]:  # the watermark may have been higher than we know
                    self._in_part(np.concatenate([times, self._marks]) // length)
            elif what is not None:
                counts, rows = self._counts.rows([(0, self._number(*what), number)])
                counts[rows, _REFUSED] += records
            elif records < 0:
                self._in_part(np.concatenate([times, self._marks]) // length)
            else:
                self.found[number].lost += records
        self._pending.clear()

    # ---- what is folded

    def begin(
        self, start: int, slots: NDArray[np.int64], events: EventColumns, created: NDArray[np.int64],
        stores: Sequence[str], version: str | None,
    ) -> Piece:  # fmt: skip
        """Note a piece of the batch, which begins at event `start`, before it is folded."""
        if not self._segments or self._segments[-1] != version:
            self._segments.append(version)
        segment = len(self._segments) - 1
        missing = len(self._states.states.counters) - len(self._voted)
        if missing > 0:
            self._voted = np.concatenate([self._voted, np.full((missing, 4), -1, dtype=np.int64)])
        was = buyers_before(
            self._states.states,
            slots,
            lambda at: (self._voted[at, 0] == segment, *self._voted[at, 1:].T),
        )
        returned = self._returned(slots, segment)
        self._in_part(self._states.states.counters[returned][:, _LAST_TIME] // self._windows.length_ms)
        numbers = {store: self._number(version, store) for store in set(stores)}
        number = np.fromiter(map(numbers.__getitem__, stores), np.int64, len(stores))
        nobody = np.zeros(len(slots), dtype=np.int64)
        arrivals = Arrivals(slots, events.time, created, events.type, number, nobody)
        return Piece(was, arrivals, self._marks[start + 1 : start + 1 + len(slots)], version)

    def _returned(self, slots: NDArray[np.int64], segment: int) -> NDArray[np.int64]:
        """Buyers whose last vote was under this version, with another one in between: whether the walk came
        by then, and this vote is a second one, is not known."""
        version = self._segments[segment]
        earlier = [n for n, known in enumerate(self._segments[:-1]) if known == version]
        return slots[np.isin(self._voted[slots, 0], earlier)]

    def count(self, piece: Piece, steps: Steps, votes: Votes | None) -> None:
        """Count a piece, now folded; votes are None where it is not known which version was in force."""
        length, arrivals = self._windows.length_ms, piece.arrivals
        vote = steps.last_time // length
        if votes is None:
            self._in_part(np.concatenate([arrivals.time // length, vote]))
            votes = _no_votes(len(vote))
        encoding, sent, ties = votes
        count(
            self._counts.rows,
            self._windows,
            piece.was,
            arrivals,
            piece.watermark,
            steps,
            encoding,
            sent,
        )
        segment = -1 if piece.version is None else len(self._segments) - 1
        slots = arrivals.slots[steps.places]
        votes_of_steps = np.column_stack([np.full(len(slots), segment), sent[:, :3]])
        self._voted[slots] = votes_of_steps  # of a repeated slot the last one stays
        self._touch(arrivals, piece.watermark, steps, vote)
        self._note_ties(encoding, vote, ties)

    def _touch(
        self, arrivals: Arrivals, watermark: NDArray[np.int64], steps: Steps, vote: NDArray[np.int64]
    ) -> None:
        length = self._windows.length_ms
        first_open = (watermark - self._windows.lateness_ms) // length
        own = arrivals.time // length
        late = own < first_open
        own[late] = watermark[late] // length
        is_open = vote >= first_open[steps.places]
        number = np.concatenate([own, vote[is_open]])
        created = np.concatenate([arrivals.created, arrivals.created[steps.places][is_open]])
        order = np.argsort(number, kind="stable")
        windows, starts = np.unique(number[order], return_index=True)
        lows = np.minimum.reduceat(created[order], starts).tolist()
        highs = np.maximum.reduceat(created[order], starts).tolist()
        for window, low, high in zip(windows.tolist(), lows, highs, strict=True):
            found = self.found[window]
            found.first_created = min(found.first_created, low)
            found.last_created = max(found.last_created, high)

    def _note_ties(self, encoding: Encoding, vote: NDArray[np.int64], ties: NDArray[np.bool_]) -> None:
        cells = {
            "codes": ties,
            "types": ties,
            "confidence": ties,
            "distance": _near_edge(encoding.distance, encoding.distance),
            "margin": _near_edge(encoding.margin, encoding.distance),
        }
        for name, is_near in cells.items():
            windows, counts = np.unique(vote[is_near], return_counts=True)
            for window, n in zip(windows.tolist(), counts.tolist(), strict=True):
                self.found[window].ties[name] += n

    def finish(self) -> None:
        """All batches are counted: hand the profiles to their windows."""
        whose = list(self._numbers)
        for (_, number, window), row in self._counts.row.items():
            counts = self._counts.counts[row].astype(np.int64)
            if counts.any():
                self.found[window].profiles[whose[number]] = counts

    def _in_part(self, windows: NDArray[np.int64]) -> None:
        for window in np.unique(windows).tolist():
            self.found[window].is_in_part = True

    def _number(self, version: str | None, store: str) -> int:
        return self._numbers.setdefault((version, store), len(self._numbers))


def _no_votes(n: int) -> Votes:
    nothing, codes = np.zeros(n, np.float32), np.zeros(n, np.int64)
    return Votes(
        Encoding(codes, nothing, nothing, codes, nothing, codes, nothing),
        np.zeros((n, len(SENT)), np.int16),
        np.zeros(n, np.bool_),
    )


def _near_edge(values: NDArray[np.float32], size: NDArray[np.float32]) -> NDArray[np.bool_]:
    """bool [n]: whether a value lies on the edge of a bin, as near as sums of floats of this size come."""
    after = np.minimum(np.searchsorted(LATENT_EDGES, values), len(LATENT_EDGES) - 1)
    gaps = (np.abs(LATENT_EDGES[i] - values) for i in (after, np.maximum(after - 1, 0)))
    return np.asarray(np.minimum(*gaps) <= TIE * np.maximum(size, 1))
