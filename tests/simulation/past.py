"""As of then, in a history: each assignment looked at is what the fold of its buyer's events gives again."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from feature_store.contract.calibration import calibration_of
from feature_store.contract.erasure import Erasures
from feature_store.errors import InvalidEventError
from feature_store.log.records import accept
from inference.encoders.encoder import Encoder
from ops.past.as_of import Looker
from ops.past.moment import Moment
from ops.past.reading import BuyerLog, Sources
from ops.past.replay import Placed
from ops.past.statements import Statements
from tests.simulation.worker import SETTINGS, Outside, erasures_of

_NOWHERE = Path("/nowhere")
_SOURCES = Sources({}, SETTINGS.topic, SETTINGS.assignments_topic, _NOWHERE, _NOWHERE, lambda _number: {})


def misremembered(outside: Outside, encoders: Sequence[Encoder]) -> str | None:
    """Of one buyer of each partition, the first assignment and the last: what their events do not give again;
    None where they give all."""
    erasures = erasures_of(outside.logs[SETTINGS.erasures_topic])
    by_version = {encoder.codebook_version: encoder for encoder in encoders}
    looker = Looker(_SOURCES, by_version.get, SETTINGS.allowed_lateness_ms)
    for number in range(outside.partitions):
        log = _one_buyer(outside, number, erasures)
        kept = [] if log is None else log.statements.kept
        for statement in kept[:1] + kept[-1:]:
            assert log is not None
            past = looker.past_of(log, Moment(partition=number, offset=statement.since))
            replay = looker.answer(past).replay
            if replay.agrees is not True or past.statement.since > statement.since:
                return f"as of {number}:{statement.since}: {replay.note}"
    return None


def _one_buyer(outside: Outside, number: int, erasures: Erasures) -> BuyerLog | None:
    sent = outside.logs[SETTINGS.assignments_topic].range(number, 0, outside.end_of_time)
    keys = list(dict.fromkeys(record.key_ for record in sent if record.key_ is not None))
    if not keys:
        return None
    key = keys[outside.clicks.ends[number] % len(keys)]
    log = BuyerLog(key, number, Statements(key, erasures.void_before(key)), 0, outside.clicks.ends[number], 0)
    for record in sent:
        log.statements.add(record.key_, record.value_ or b"")
    for record in outside.clicks.range(number, 0, outside.end_of_time):
        if (calibration := calibration_of(record)) is not None:
            log.calibrations.add(record.offset_, calibration)
        if record.key_ != key or record.offset_ < log.statements.void_before:
            continue
        with contextlib.suppress(InvalidEventError):
            event, _ = accept(record.value_, record.key_, number, record.created_ms, outside.partitions)
            log.events.append(Placed(record.offset_, event))
    return log
