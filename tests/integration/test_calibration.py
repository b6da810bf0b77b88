"""A shop that the bundle has never seen: no forecast, until a calibration of its own lies in the log."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from feature_store.contract.calibration import Calibration, Curve, Gate
from feature_store.log.erasures import ErasureLog
from feature_store.log.reader import LogReader
from feature_store.online.assignment import Assignment, decode_assignment
from inference.bundles.bundle import load_bundle, starter_bundle_path
from inference.encoders.onnx import OnnxEncoder
from ops.calibration.job import calibrate
from ops.calibration.publish import CalibrationWriter
from ops.connection import Connection
from tests.rig import PARTITIONS, Rig

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

NEVER = 1e-6


def assigned(rig: Rig) -> Iterator[Assignment]:
    with LogReader(rig.client_config()) as log:
        for number in range(PARTITIONS):
            for batch in log.read(rig.settings.assignments_topic, number):
                yield from (decode_assignment(message.value()) for message in batch)


def publish(rig: Rig, calibration: Calibration) -> list[int]:
    """Where the record lies in each partition."""
    with LogReader(rig.client_config()) as log:
        ends = [log.bounds(rig.settings.topic, number)[1] for number in range(PARTITIONS)]
    topics = rig.settings
    writer = CalibrationWriter(rig.client_config(), topics.topic, topics.control_topic, PARTITIONS, 30)
    writer.publish([calibration])
    return ends


def test_it_holds_from_its_offset_on_and_survives_a_kill(rig: Rig) -> None:
    encoder = OnnxEncoder(load_bundle(starter_bundle_path()))
    ours = Calibration(
        store="acme",
        codebook_version=encoder.codebook_version,
        calibration_id="ours",
        fitted_on=600,
        gate={"forecast": Gate(passed=True, sessions=600)},
        forecast=Curve(a=NEVER, b=1.0),
    )
    of_another_version = Calibration(
        store="acme",
        codebook_version="another",
        calibration_id="theirs",
        fitted_on=600,
        gate={},
        forecast=Curve(a=NEVER, b=-2.0),
    )
    worker = rig.worker()
    worker.wait_assigned()
    rig.send(300, buyers=60)
    rig.wait_caught_up()
    borders = publish(rig, ours)
    publish(rig, of_another_version)
    rig.send(300, buyers=60)
    rig.wait_caught_up()
    worker.kill()
    successor = rig.worker()
    successor.wait_assigned()
    rig.send(200, buyers=60)
    rig.wait_caught_up()

    before = [it for it in assigned(rig) if it.offset < borders[it.partition]]
    after = [it for it in assigned(rig) if it.offset > borders[it.partition] and it.reason != "session_end"]
    assert before
    assert all(it.forecast is None and it.forecast_probability is None for it in before)
    told = 1 / (1 + math.exp(-1.0))
    # Where facts rule out what the graph foresees, there is no forecast to calibrate.
    stated = [it.forecast_probability for it in after if it.forecast_probability is not None]
    assert len(stated) > len(after) / 4
    assert stated == pytest.approx([told] * len(stated), abs=1e-4)
    assert all(it.confidence is None for it in after)
    report = rig.assert_nothing_lost()
    assert report.calibrations == 2 * PARTITIONS

    erasures = ErasureLog(rig.client_config(), rig.settings.erasures_topic)
    live = Connection(rig.settings, rig.client_config(), rig.rows, erasures, rig.folder / "home")
    looked = calibrate(live, encoder, publish=True)
    erasures.close()
    assert looked.shops["acme"].publish is None
    assert looked.shops["acme"].report["holds"] == "ours"
    assert "500 are needed" in looked.shops["acme"].report["forecast"]["why"]
