"""Counts of windows on real servers: after kill -9 they equal an offline recount."""

from __future__ import annotations

import random
from collections import defaultdict

import numpy as np
import pytest

from feature_store.errors import InvalidEventError
from feature_store.log.reader import LogReader
from feature_store.log.records import accept
from inference.bundles.bundle import load_bundle, starter_bundle_path
from inference.counts.counting import WindowRule
from inference.counts.offline import OfflineCounts
from inference.counts.profile import FEATURE, Counts, empty_profile
from inference.encoders.onnx import OnnxEncoder
from tests.integration.windows import stored
from tests.rig import PARTITIONS, Rig
from tests.waiting import random_moment

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]
LENGTH_MS = 10_000
ENVIRONMENT = {"SIMPERSONA_WINDOW_SECONDS": "10"}


def recount(rig: Rig) -> dict[tuple[str, int], Counts]:
    """(store, window) -> counts, from the log alone."""
    counter = OfflineCounts(
        WindowRule(LENGTH_MS, rig.settings.allowed_lateness_ms),
        OnnxEncoder(load_bundle(starter_bundle_path())).encode,
    )
    with LogReader(rig.client_config()) as log:
        for number in range(PARTITIONS):
            for messages in log.read(rig.settings.topic, number):
                events, created = [], []
                for message in messages:
                    at = message.timestamp()[1]
                    try:
                        event, _ = accept(message.value(), message.key(), number, at, PARTITIONS)
                    except InvalidEventError:
                        continue
                    events.append(event)
                    created.append(at)
                counter.add(events, partition=number, created=created)
    sums: dict[tuple[str, int], Counts] = defaultdict(empty_profile)
    for (_, store, window), counts in counter.drain().items():
        sums[store, window] = sums[store, window] + counts
    return {key: counts for key, counts in sums.items() if counts.any()}


def test_after_kills_the_counts_equal_an_offline_recount(rig: Rig) -> None:
    pauses = random.Random(3)
    worker = rig.worker(batch_events=300, instance_id="w1", environment=ENVIRONMENT)
    with rig.trickle(rate=600, buyers=400):
        for _ in range(3):
            worker.wait_assigned()
            random_moment(pauses, 0.5, 2.0)
            worker.kill()
            worker.log.write_text("")
            worker.start()
        worker.wait_assigned()
    rig.wait_caught_up()
    expected, found = recount(rig), stored(rig)
    assert found.keys() == expected.keys()
    for key, counts in expected.items():
        different = np.flatnonzero(found[key] != counts)
        # A distance on the edge of a bin may round otherwise in a batch of another size; its sum may not.
        for name in ("distance", "margin"):
            cells = FEATURE[name].cells
            assert found[key][cells].sum() == counts[cells].sum()
            different = different[(different < cells.start) | (different >= cells.stop)]
        assert not len(different), (key, different)
