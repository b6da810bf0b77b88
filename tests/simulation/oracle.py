"""The oracle of a history: verify's own comparison, over the simulated log and store."""

from __future__ import annotations

from collections.abc import Sequence

from feature_store.errors import InvalidEventError
from feature_store.log.records import accept
from feature_store.online.rows import OnlineRows
from inference.encoders.encoder import Encoder
from ops.verify.check import PartitionCheck
from ops.verify.expected.calibrations import PartitionCalibrations
from ops.verify.expected.log import Record, Rules, record_without_event
from ops.verify.report import VerifyReport
from tests.simulation import kafka
from tests.simulation.past import misremembered
from tests.simulation.store import Client
from tests.simulation.worker import SETTINGS, WINDOWS, Outside, SimEncoder, erasures_of


def differences(outside: Outside, versions: Sequence[int]) -> str | None:
    """What verify finds, in a line; None where all is as the log says. versions: the last is the champion."""
    rows = OnlineRows.over(Client(outside.server), SETTINGS.topic)  # type: ignore[arg-type]
    report = verified(outside, rows, [SimEncoder(version) for version in versions])
    if report.equal:
        return misremembered(outside, [SimEncoder(version) for version in versions])
    return f"{report.examples[0].split(':')[0]}: {report.examples} {report}"


def verified(outside: Outside, rows: OnlineRows, encoders: Sequence[Encoder]) -> VerifyReport:
    """verify's report of these rows. encoders: the last is the champion."""
    report = VerifyReport()
    rules = _rules(outside, encoders)
    for number in range(outside.partitions):
        calibrations = PartitionCalibrations(rows.stored_calibrations(number), 0)
        check = PartitionCheck(number, rows.stored_progress(number), rules, report, calibrations)
        for said in outside.logs[SETTINGS.assignments_topic].range(number, 0, outside.end_of_time):
            check.add_assignment(said.value_ or b"")
        check.seal(is_cut=False)
        records = outside.clicks.range(number, 0, outside.end_of_time)
        check.add([_record(record, outside.partitions) for record in records])
        check.compare(rows.stored(number), outside.clicks.ends[number])
    return report


def _rules(outside: Outside, encoders: Sequence[Encoder]) -> Rules:
    erasures = erasures_of(outside.logs[SETTINGS.erasures_topic])
    erased_before: dict[int, int] = {}
    for one in erasures.by_key.values():
        erased_before[one.partition] = max(erased_before.get(one.partition, 0), one.before_offset)
    return Rules(
        encoders={encoder.codebook_version: encoder for encoder in encoders},
        champion=encoders[-1].codebook_version,
        void_before=erasures.void_before,
        opted_out=erasures.opted_out,
        ended_before=erasures.ended_before,
        # Under which version an event was counted is not known where it was read twice, under two, nor
        # how far the watermark was where events of an erased buyer had moved it.
        windows=None if len(encoders) > 1 or erased_before else WINDOWS,
        now_ms=outside.clock.wall_ms,
        erased_before=erased_before,
        allowed_lateness_ms=SETTINGS.allowed_lateness_ms,
    )


def _record(record: kafka.Record, partitions: int) -> Record:
    try:
        event, _ = accept(record.value_, record.key_, record.partition_, record.created_ms, partitions)
    except InvalidEventError:
        return record_without_event(record, record.created_ms, record.partition_, partitions)
    return Record(record.offset_, record.created_ms, event)
