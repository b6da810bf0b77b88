"""What the page is made of: drift by store, how the installation does, the stores of a key."""

from __future__ import annotations

import uuid

import httpx
import pytest

from inference.api.live.positions import decode_positions
from inference.counts.profile import FEATURES
from ops.drift.alerts import Alert, AlertBook
from tests.api_process import Api
from tests.ops.dashboards.conftest import click
from tests.rig import PARTITIONS, Rig, Worker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def test_a_key_is_told_of_its_own_store_and_an_operators_of_all(
    live: Rig, api: Api, operator: httpx.Client
) -> None:
    for store in ("north", "south"):
        click(operator, store, "4711", 1)
    names = {"north", "south"}

    def counted() -> bool:
        return names <= {one["store"] for one in operator.get("/v1/stores").json()["stores"]}

    live.wait_for(counted, "both stores to be counted")
    with api.client(api.new_key("north")) as client:
        mine = {"every": False, "stores": [{"store": "north", "buyers": 1}]}
        assert client.get("/v1/stores").json() == mine
    with api.client(api.new_key("nowhere")) as client:
        assert client.get("/v1/stores").json()["stores"] == [{"store": "nowhere", "buyers": 0}]
    assert operator.get("/v1/stores").json()["every"]


def test_a_stream_may_begin_in_the_past_as_far_as_the_topic_goes(live: Rig, operator: httpx.Client) -> None:
    store = f"s{uuid.uuid4().hex[:8]}"
    click(operator, store, "4711", 1)
    path = f"/v1/stores/{store}/buyers/4711/persona"
    live.wait_for(lambda: not operator.get(path).json()["early"], "the persona")
    with operator.stream("GET", f"/v1/stores/{store}/stream", params={"recent": 20_000}) as response:
        lines = response.iter_lines()
        first = next(line for line in lines if line.startswith("id: "))
        assert decode_positions(first.removeprefix("id: "), PARTITIONS) == [0] * PARTITIONS
        assert next(line for line in lines if line.startswith("event: ")) == "event: assignment"
    assert operator.get(f"/v1/stores/{store}/stream", params={"recent": 20_001}).status_code == 422


def test_the_installation_is_for_operators(api: Api, operator: httpx.Client) -> None:
    with api.client(api.new_key("north")) as client:
        refused = client.get("/v1/operation")
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:simpersona:missing-scope")
    with api.client(None) as nobody:
        assert nobody.get("/v1/operation").status_code == 401
    assert operator.get("/v1/operation").status_code == 200


def test_how_the_installation_does(live: Rig, worker: Worker, operator: httpx.Client) -> None:
    def figures() -> dict[str, object]:
        told: dict[str, object] = operator.get("/v1/operation").json()
        return told

    live.wait_for(lambda: figures()["answering"] == 1, "the worker to answer")
    with live.trickle(50):
        live.wait_for(lambda: figures()["p99_ms"] is not None, "something to be tagged")
    told = operator.get("/v1/operation").json()
    assert (told["named"], told["workers"], told["partitions"]) == (True, 1, PARTITIONS)
    assert list(told["codebook_versions"].values()) == [1]
    assert 0 < told["p50_ms"] <= told["p99_ms"]
    assert any(moment["events_per_s"] > 0 for moment in told["history"])
    worker.kill()
    live.wait_for(lambda: figures()["answering"] == 0, "the worker to be missed")
    told = operator.get("/v1/operation").json()
    assert (told["workers"], told["lag"], told["dead_letters"]) == (1, None, {})
    worker.start()
    live.wait_for(lambda: figures()["answering"] == 1, "the worker to come back")


def test_drift_has_a_history_and_alerts_of_the_keys_own_store(
    live: Rig, api: Api, window_s: int, operator: httpx.Client
) -> None:
    def told(client: httpx.Client) -> dict[str, object]:
        answer = client.get("/v1/stores/acme/drift")
        assert answer.status_code == 200, answer.text
        found: dict[str, object] = answer.json()["found"]
        return found

    with live.trickle(40), api.client(api.new_key("acme")) as client:
        live.wait_for(lambda: bool(told(client)["features"]), "a window to be complete")
        live.wait_for(lambda: len(told(client)["history"]) > 1, "another one")  # type: ignore[arg-type]
    found = operator.get("/v1/stores/acme/drift").json()["found"]
    names = {feature.name for feature in FEATURES}
    assert {one["feature"] for one in found["features"]} < names
    shifts = [one["psi"] for one in found["features"]]
    assert shifts == sorted(shifts, reverse=True)
    last, before = found["history"][-1], found["history"][-2]
    assert last["until"] - before["until"] == window_s * 1000
    assert last["psi"] == {one["feature"]: one["psi"] for one in found["features"]}

    version = operator.get("/v1/stores/acme/drift").json()["codebook_version"]
    alerts = [
        Alert(store=store, name="codes", kind="model", windows=1, over=3, since=100)
        for store in ("*", "acme", "other")
    ]
    alerts.append(Alert(store="acme", name="unknown", kind="data", windows=3, over=6, since=101))
    AlertBook(version=version, evaluated=101, alerts=alerts).save(live.folder / "home" / "drift.json")
    with api.client(api.new_key("acme")) as client:
        report = client.get("/v1/stores/acme/drift").json()
        told_of = [(alert["store"], alert["about"], alert["sentence"]) for alert in report["alerts"]]
        assert told_of == [
            ("acme", "codes", None),
            ("acme", "unknown", "the collector does not understand many items"),
        ]
        assert report["watched_until"] == 102 * window_s * 1000
        assert client.get("/v1/stores/other/drift").status_code == 403
    seen = operator.get("/v1/stores/acme/drift").json()["alerts"]
    assert {alert["store"] for alert in seen} == {"*", "acme"}
