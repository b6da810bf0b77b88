"""The verdict on a trial: `verify`, and the second count beside what the store holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from feature_store.fold.behavior import COUNTER, empty_states
from feature_store.fold.state import unpack_states
from feature_store.online.encoding import unpack_row
from tests.reliability.second_count import Counted, count
from tests.rig import PARTITIONS, Rig


class Verdict(NamedTuple):
    """events: records of the topic. lost, twice: events that the store counts too few, too often.
    letters_missing, letters_wrong: refused records without a dead letter, and the other way round.
    unsent: events that the sender made and the topic does not hold. verify: what it found, "" where equal."""

    events: int
    lost: int
    twice: int
    letters_missing: int
    letters_wrong: int
    unsent: int
    verify: str

    @property
    def is_right(self) -> bool:
        """Whether nothing is lost, counted twice or different."""
        return not any(self[1:])


def judge(rig: Rig, sent: Mapping[str, int]) -> Verdict:
    """Look at a rig whose workers have caught up. sent: events that were sent, by Kafka key."""
    counted = count(rig.client_config(), rig.settings.topic, rig.settings.dead_letters_topic, PARTITIONS)
    held = events_in_store(rig)
    lost, twice = compare(counted, held)
    report = rig.verify()
    return Verdict(
        counted.records,
        lost,
        twice,
        len(counted.to_refuse - counted.refused),
        len(counted.refused - counted.to_refuse),
        sum(max(0, made - counted.events.get(key, 0)) for key, made in sent.items()),
        "" if report.equal else str(report),
    )


def compare(counted: Counted, held: Mapping[str, int]) -> tuple[int, int]:
    """Events that the store counts too few, and too often."""
    gaps = [counted.events.get(key, 0) - held.get(key, 0) for key in counted.events.keys() | held.keys()]
    return sum(max(0, gap) for gap in gaps), sum(max(0, -gap) for gap in gaps)


def events_in_store(rig: Rig) -> dict[str, int]:
    """Kafka key -> events counted in its state row."""
    found = [pair for number in range(PARTITIONS) for pair in rig.rows.all_states(number)]
    states = empty_states(len(found))
    unpack_states(states, np.arange(len(found)), [unpack_row(row)[1] for _, row in found])
    events = states.counters[:, COUNTER["events"]].tolist()
    return {key.decode(): n for (key, _), n in zip(found, events, strict=True)}
