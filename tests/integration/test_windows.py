"""Counts of windows on real servers: after kill -9 they equal an offline recount, and drift reads them."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import ExitStack, closing
from datetime import UTC, datetime

import numpy as np
import pytest

from feature_store.errors import InvalidEventError
from feature_store.log.producer import Output
from feature_store.log.reader import LogReader
from feature_store.log.records import accept
from feature_store.online.intake import IntakeCounts, Items
from inference.bundles.bundle import load_bundle, starter_bundle_path
from inference.counts.counting import WindowRule
from inference.counts.offline import OfflineCounts
from inference.counts.profile import FEATURE, TALLY, Counts, empty_profile
from inference.counts.windows import WindowReader, WindowSettings
from inference.encoders.onnx import OnnxEncoder
from tests.api_process import Api
from tests.rig import PARTITIONS, Rig
from tests.waiting import random_moment

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
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


def stored(rig: Rig) -> dict[tuple[str, int], Counts]:
    reader = WindowReader(rig.rows, WindowSettings(window_seconds=10))
    newest = reader.newest()
    assert newest is not None
    version = load_bundle(starter_bundle_path()).codebook_version
    return {
        (whose.store, number): counts
        for number, found in reader.windows(newest - 60, newest + 1).items()
        for whose, counts in found.items()
        if whose.version == version
    }


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


def test_drift_reports_the_stores_and_the_refusals_that_the_workers_counted(rig: Rig) -> None:
    rig.worker(environment=ENVIRONMENT).wait_assigned()
    rig.send(600)
    _send_broken(rig, 7)
    _to_collectors(rig)
    counted_by = time.time_ns() // 1_000_000 // LENGTH_MS
    # Events of the rig lie up to a second back: the next ones must all be of a later window.
    over_ms = (counted_by + 1) * LENGTH_MS + 1_000
    rig.wait_for(lambda: time.time_ns() // 1_000_000 > over_ms, "the window to be over")
    rig.send(20)
    rig.wait_caught_up()
    refused = sum(int(counts[TALLY["refused"]]) for (store, _), counts in stored(rig).items() if store == "")
    assert refused == 7, "counted where event time is"
    ran = subprocess.run(
        [sys.executable, "-m", "ops.cli.main", "drift", "--json"],
        env={**rig.environment(rig.settings), **ENVIRONMENT},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    report = json.loads(ran.stdout)
    assert set(report["stores"]) == {"acme", "*"}
    assert report["stores"]["acme"]["events"] > 0
    assert report["stores"]["acme"]["buyers"] > 0
    assert report["stores"]["acme"]["unknown"] == pytest.approx(18 / 78)
    assert {shift["feature"] for shift in report["shifts"]} >= {"codes", "event_mix"}
    book = json.loads((rig.folder / "home" / "drift.json").read_text())
    assert book["version"] == report["codebook_version"]


def _send_broken(rig: Rig, count: int) -> None:
    output = Output(rig.client_config(), 60)
    for _ in range(count):
        output.send(rig.settings.topic, b"acme|x", b"not json")
    output.flush()


def _to_collectors(rig: Rig) -> None:
    """Two API processes are sent 60 events, 12 renamed ones, 6 broken ones and some ordinary traffic."""
    with ExitStack() as running:
        apis = [Api(rig, environment=ENVIRONMENT) for _ in range(2)]
        for api in apis:
            running.callback(api.stop)  # also where the test fails
        key = apis[0].new_key("acme")
        for number, api in enumerate(apis):
            batch = [
                *(_track("Product Viewed", f"{number}-{i}") for i in range(30)),
                *(_track("Article Glimpsed", f"{number}-r{i}") for i in range(6)),
                *(_track("Product Viewed", f"{number}-b{i}", timestamp="yesterday") for i in range(3)),
                *(_track("Product Clicked", f"{number}-o{i}") for i in range(9)),
            ]
            with api.client(key) as client:
                receipt = client.post(
                    "/v1/events", params={"source": "segment"}, json={"batch": batch}
                ).json()
            assert receipt["accepted"] == 30
            assert receipt["skipped"] == {"unmapped_event": 6, "other_event": 9}
        with closing(IntakeCounts(rig.settings.store_url, rig.settings.topic, LENGTH_MS)) as intake:
            now = time.time_ns() // 1_000_000 // LENGTH_MS
            windows = range(now - 60, now + 60)

            def met() -> Items:
                found = [stores["acme"] for stores in intake.read(windows).values()]
                return Items(sum(items.known for items in found), sum(items.unknown for items in found))

            rig.wait_for(lambda: met() == Items(60, 18), "both processes to have counted")
        for api in apis:
            assert api.stop() == 0, api.log.read_text()


def _track(name: str, message_id: str, **more: str) -> dict[str, object]:
    now = datetime.now(UTC).isoformat()
    return {
        "type": "track",
        "event": name,
        "messageId": message_id,
        "anonymousId": f"shopper-{message_id}",
        "timestamp": now,
        **more,
    }
