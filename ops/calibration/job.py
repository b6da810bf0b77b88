"""One look at a running installation: grade every ended session, judge every store, publish what is due."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from feature_store.contract.calibration import Calibration
from feature_store.log.reader import LogReader
from feature_store.log.topics import partition_count
from inference.calibration.in_force import InForce
from inference.encoders.encoder import Encoder
from ops.calibration.grading import Ended, Grader
from ops.calibration.publish import CalibrationWriter
from ops.calibration.shops import Shop, look_at
from ops.connection import Connection
from ops.verify.records import read_records

_NOW = 2**62


class Looked(NamedTuple):
    """What one look found; `to_dict` is the report."""

    version: str
    shops: dict[str, Shop]

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "codebook_version": self.version,
            "stores": {store: shop.report for store, shop in self.shops.items()},
        }


def calibrate(live: Connection, encoder: Encoder, *, publish: bool) -> Looked:
    """Look at all of the log, and publish the calibrations that are due.

    encoder: the champion, whose forecasts are graded. publish: False only reports.

    Raises:
        TopicError, EventSourceError: log or archive cannot be read.
        EncoderUnavailableError, ProducerError: the encoder or Kafka does not answer.
    """
    count = partition_count(live.kafka, live.settings.topic)
    live.erasures.refresh()
    ended: list[Ended] = []
    open_since: dict[str, int] = {}
    held: list[InForce] = []
    with LogReader(live.kafka) as log:
        for number in range(count):
            grader = Grader(encoder, live.erasures.void_before, live.settings.allowed_lateness_ms)
            for batch in read_records(log, live.settings.topic, number, count, live.home / "archive"):
                grader.add(batch)
            for store, at in grader.finish().items():
                open_since[store] = min(at, open_since.get(store, at))
            ended += grader.ended
            held.append(grader.in_force)
    version = encoder.codebook_version
    current = _current(held, version, {one.store for one in ended})
    looked = Looked(version, look_at(ended, open_since, current, version))
    due = [shop.publish for shop in looked.shops.values() if shop.publish is not None]
    if publish and due:
        topics = live.settings
        writer = CalibrationWriter(
            live.kafka, topics.topic, topics.control_topic, count, topics.flush_timeout_s
        )
        writer.publish(due)
    return looked


def _current(held: Iterable[InForce], version: str, stores: set[str]) -> dict[str, Calibration | None]:
    """The calibration of each store that holds in every partition; None where one is missing in any."""
    everywhere = list(held)
    known = {it.store for one in everywhere for _, it in one if it.codebook_version == version}
    current: dict[str, Calibration | None] = {}
    for store in sorted(known | stores):
        last = {it and it.calibration_id: it for it in (one.at(store, version, _NOW) for one in everywhere)}
        current[store] = next(iter(last.values())) if len(last) == 1 else None
    return current
