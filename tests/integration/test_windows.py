"""Counts of windows on real servers, and drift that reads them. After kills: tests/long."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from datetime import UTC, datetime

import pytest

from feature_store.log.producer import Output
from feature_store.online.intake import IntakeCounts, Items
from inference.counts.profile import TALLY
from tests.api_process import Api
from tests.integration.windows import stored
from tests.rig import Rig

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
LENGTH_MS = 10_000
ENVIRONMENT = {"SIMPERSONA_WINDOW_SECONDS": "10"}


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
