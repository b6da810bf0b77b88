"""The key of buyer ids is replaced while everything runs: buyers are found, erased and moved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from click.testing import CliRunner

from feature_store.contract.events import record_key
from feature_store.contract.identity import BuyerHasher
from feature_store.contract.partitions import partition_of
from ops.cli.live.ids import ids
from tests.api_process import SCOPES, Api, event
from tests.rig import PARTITIONS, Rig

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

OLD, NEW = "ab" * 32, "cd" * 32
HASHER = BuyerHasher(bytes.fromhex(OLD), bytes.fromhex(NEW))


def send(client: httpx.Client, number: int, buyer: str) -> None:
    client.post("/v1/events", json=event(f"{buyer}-{number}", buyer)).raise_for_status()


def persona(client: httpx.Client, buyer: str, **query: str) -> dict[str, object]:
    found: dict[str, object] = client.get(f"/v1/stores/acme/buyers/{buyer}/persona", params=query).json()
    return found


@pytest.fixture
def ends() -> Iterator[ExitStack]:
    """What is still to be ended where a test fails."""
    with ExitStack() as stack:
        yield stack


def test_a_rotation_loses_nobody_and_brings_nobody_back(live: Rig, ends: ExitStack) -> None:
    before = Api(live)
    ends.callback(before.process.kill)
    key = before.new_key("acme", *SCOPES, "tokens:create")
    with before.client(key) as client:
        for buyer in ("stays", "returns", "erased"):
            send(client, 1, buyer)
            send(client, 2, buyer)
        for buyer in ("stays", "returns", "erased"):
            live.wait_for(lambda buyer=buyer: persona(client, buyer).get("events") == 2, "the worker")
    assert before.stop() == 0

    after = Api(live, environment={"SIMPERSONA_ID_KEY": f"{OLD},{NEW}"})
    ends.callback(after.process.kill)
    with after.client(key) as client:
        # Side by side: who was known is known, what comes is under the new name.
        assert persona(client, "stays")["events"] == 2
        token = client.post("/v1/stores/acme/buyers/stays/token").json()["token"]
        asked = client.post("/v1/stores/acme/personas", json={"buyers": ["nobody", "stays"]}).json()
        assert [it and it["events"] for it in asked["personas"]] == [None, 2]
        send(client, 2, "returns")  # again, across the rotation
        send(client, 3, "returns")
        new_name = HASHER.buyer("acme", "returns")
        live.wait_for(lambda: persona(client, "returns").get("buyer") == new_name, "the worker")
        erasing = client.delete("/v1/stores/acme/buyers/erased").raise_for_status().json()["status_url"]
        assert persona(client, "erased")["type"] == "urn:simpersona:erased-buyer"
        live.wait_for(lambda: client.get(erasing).json()["state"] == "done", "the erasure")

        moved = rekey(after)
        assert moved == {"buyers": 2, "events": 4, "erased_meanwhile": 0}
        live.wait_for(lambda: persona(client, "stays").get("buyer") == HASHER.buyer("acme", "stays"), "rekey")
        live.wait_for(lambda: persona(client, "returns").get("events") == 3, "the history of who returned")
        assert persona(client, "stays")["events"] == 2
        assert persona(client, HASHER.buyers("acme", "stays")[-1], pseudonym="true")["events"] == 2
        assert persona(client, "erased")["type"] == "urn:simpersona:erased-buyer"
        with after.client(token) as page:
            assert page.get("/v1/persona").json()["code"] == persona(client, "stays")["code"]
    live.assert_nothing_lost()
    for buyer in ("stays", "returns", "erased"):
        key_of_old = record_key("acme", HASHER.buyers("acme", buyer)[-1])
        number = partition_of(key_of_old, PARTITIONS)
        assert live.rows.read_personas({number: [key_of_old]}) == {number: [None]}
        assert live.rows.read_states({number: [key_of_old]}) == {number: [None]}
    assert rekey(after) == {"buyers": 0, "events": 0, "erased_meanwhile": 0}
    assert after.stop() == 0


def rekey(api: Api) -> dict[str, int]:
    done = CliRunner().invoke(ids, ["rekey", "--json"], env=api.environment, catch_exceptions=False)
    assert done.exit_code == 0
    found: dict[str, int] = json.loads(done.stdout)
    return found
