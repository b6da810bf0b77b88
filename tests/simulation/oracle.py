"""The oracle of a history: verify's own comparison, over the simulated log and store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from feature_store.online.rows import OnlineRows
from ops.verify import Verifier, VerifyReport
from tests.simulation.kafka import Log, Record
from tests.simulation.outside import Process
from tests.simulation.store import Client
from tests.simulation.worker import SETTINGS, Outside, SimEncoder, SimErasures


class _Reader:
    """LogReader over simulated logs."""

    def __init__(self, logs: dict[str, Log]) -> None:
        self._logs = logs

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        return 0, self._logs[topic].ends[partition]

    def read(
        self, topic: str, partition: int, start: int | None = None, end: int | None = None
    ) -> Iterator[list[Record]]:
        log = self._logs[topic]
        found = log.range(partition, start or 0, log.ends[partition] if end is None else end)
        if found:
            yield found


def differences(outside: Outside, versions: Sequence[int]) -> str | None:
    """What verify finds, in a line; None where all is as the log says."""
    rows = OnlineRows.over(Client(outside.server), SETTINGS.topic)  # type: ignore[arg-type]
    erasures = SimErasures(Process("oracle", lambda _: None), outside.logs[SETTINGS.erasures_topic])
    erasures.refresh()
    encoders = [SimEncoder(version) for version in versions]
    verifier = Verifier(
        {},
        SETTINGS.topic,
        SETTINGS.assignments_topic,
        rows,
        erasures,
        encoders,
        None,
        SETTINGS.allowed_lateness_ms,
    )
    report = VerifyReport()
    verifier._verify(_Reader(outside.logs), outside.partitions, report)  # type: ignore[arg-type]
    return None if report.equal else f"{report.examples[0].split(':')[0]}: {report}"
