"""The signals: shares of bad data that are watched. This table is the only place that names them.

Look, alerts, report, metrics, the API, the page and docs/drift.md are made from it. A field of
`Signals` is a signal: its name is the signal's, its value the share that is an alert
(SIMPERSONA_DRIFT_<NAME>), and its `Signal` says how the share is read from counts and what to tell people.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import BaseModel, Field

from inference.counts.profile import AGE_EDGES_MS, FEATURE, TALLY, Counts

Kind = Literal["model", "data"]
"""What is at fault where a share is too large: the model, which a retrain mends, or the data."""

_OLD: Final = 1 + AGE_EDGES_MS.index(900_000)


class Share(NamedTuple):
    """How many of how many."""

    part: int
    whole: int

    @property
    def value(self) -> float:
        """0 to 1; 0 of nothing."""
        return self.part / self.whole if self.whole else 0.0


@dataclass(frozen=True)
class Signal:
    """A share that is watched. sentence: what an alert says; advice: what to do about it."""

    read: Callable[[Counts], Share]
    sentence: str
    advice: str
    kind: Kind = "data"


def arrived(counts: Counts) -> int:
    """Records of the clickstream topic: events, repeats and refused ones."""
    events = int(counts[FEATURE["event_mix"].cells].sum())
    return events + int(counts[TALLY["duplicates"]]) + int(counts[TALLY["refused"]])


def of_arrived(tally: str) -> Callable[[Counts], Share]:
    """The share of a tally of the profile in all records that arrived."""
    return lambda counts: Share(int(counts[TALLY[tally]]), arrived(counts))


def _old(counts: Counts) -> Share:
    ages = counts[FEATURE["event_age"].cells]
    return Share(int(ages[_OLD:].sum()), int(ages.sum()))


def _unknown(counts: Counts) -> Share:
    unknown, known = int(counts[TALLY["unknown"]]), int(counts[TALLY["known"]])
    return Share(unknown, unknown + known)


class Signals(BaseModel):
    """One field for each signal: the share that is an alert. Part of the settings of drift."""

    late: Annotated[
        float,
        Signal(
            of_arrived("late"),
            "many events come late",
            "look for a sender's queue, or a backlog that is being read",
        ),
    ] = Field(0.05, description="share of events beyond the allowed lateness that is an alert", gt=0, le=1)
    duplicates: Annotated[
        float,
        Signal(
            of_arrived("duplicates"),
            "many events come twice",
            "a sender retries, or a file is replayed: stop it; nothing is counted twice",
        ),
    ] = Field(0.2, description="share of events delivered before that is an alert", gt=0, le=1)
    refused: Annotated[
        float,
        Signal(
            of_arrived("refused"),
            "many records are refused",
            "read the [dead letters](runbook.md#dead-letters): each says what is wrong",
        ),
    ] = Field(0.05, description="share of refused records that is an alert", gt=0, le=1)
    unknown: Annotated[
        float,
        Signal(
            _unknown,
            "the collector does not understand many items",
            "ask the shop what its pixel changed: names (`unmapped_event` of `simpersona_api_items_total`; "
            "map new ones, [adapters.md](adapters.md)) or fields (`invalid`)",
        ),
    ] = Field(
        0.25,
        description="share of items that the collector does not understand (names that the format does not "
        "have, broken fields) that is an alert",
        gt=0,
        le=1,
    )
    old: Annotated[
        float,
        Signal(
            _old,
            "many events are old when they arrive",
            "look for a sender's clock or queue, or a replay of history",
        ),
    ] = Field(
        0.2,
        description="share of events that reach Kafka more than 15 minutes old that is an alert",
        gt=0,
        le=1,
    )

    @classmethod
    def signals(cls) -> dict[str, Signal]:
        """Every signal by name, in the order in which they are shown."""
        return {
            name: signal
            for name, field in cls.model_fields.items()
            for signal in field.metadata
            if isinstance(signal, Signal)
        }

    @classmethod
    def sentence(cls, name: str) -> str | None:
        """What an alert about a signal says; None where the name is a feature's."""
        signal = cls.signals().get(name)
        return None if signal is None else signal.sentence

    def limit(self, name: str) -> float:
        """The share of a signal that is an alert."""
        limit: float = getattr(self, name)
        return limit
