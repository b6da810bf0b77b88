"""The API on real servers beside a real worker."""

from __future__ import annotations

import gzip
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from feature_store.contract.events import Event, encode_event, record_key
from feature_store.contract.identity import BuyerHasher
from feature_store.log.producer import Output
from tests.api_process import Api, event
from tests.rig import Rig

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

HASHER = BuyerHasher(bytes.fromhex("ab" * 32))


def new_buyer() -> str:
    return f"shop/{uuid.uuid4().hex}"


def path(buyer: str, rest: str = "/persona", store: str = "acme") -> str:
    return f"/v1/stores/{store}/buyers/{buyer.replace('/', '%2F')}{rest}"


def send(client: httpx.Client, *events: dict[str, Any]) -> None:
    answer = client.post("/v1/events", json=list(events))
    assert answer.status_code == 202, answer.text
    assert answer.json() == {"accepted": len(events), "skipped": {}, "errors": []}


def wait_for_persona(live: Rig, client: httpx.Client, buyer: str, events: int) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def said() -> bool:
        answer = client.get(path(buyer))
        found.update(answer.json())
        done = answer.status_code == 200 and not found["early"] and found["funnel_stage"] is not None
        return done and int(found["events"]) >= events

    live.wait_for(said, "the persona")
    return found


def past_the_doors(live: Rig, pseudonym: str) -> None:
    """An event that its sender writes to the topic."""
    sent = Event(
        schema_version=1, event_id="direct", store="acme", buyer=pseudonym, type="page_view",
        timestamp=time.time_ns() // 1_000_000,
    )  # fmt: skip
    output = Output(live.client_config(), 30)
    output.send(live.settings.topic, record_key("acme", pseudonym), encode_event(sent))
    output.flush()


def test_a_shopper_from_the_first_click_to_the_purchase(live: Rig, acme: httpx.Client) -> None:
    buyer = new_buyer()
    unknown = acme.get(path(buyer))
    assert (unknown.status_code, unknown.json()["type"]) == (404, "urn:simpersona:unknown-buyer")
    assert unknown.headers["content-type"] == "application/problem+json"
    send(acme, event("a1", buyer))
    first = acme.get(path(buyer)).json()
    assert first["store"] == "acme"  # early or not: never unknown after 202
    send(acme, event("a2", buyer, "add_to_cart"), event("a3", buyer, "purchase"))
    said = wait_for_persona(live, acme, buyer, 1)
    live.wait_for(
        lambda: acme.get(path(buyer)).json()["funnel_stage"] == "purchased", "the purchase to be folded"
    )
    assert said["buyer"] == HASHER.buyer("acme", buyer)
    assert said["token"] == f"<|persona_{said['code']}|>"
    card = acme.get(f"/v1/personas/{said['code']}").json()
    assert card["token"] == said["token"]
    both = acme.post("/v1/stores/acme/personas", json={"buyers": [buyer, "nobody"]}).json()
    assert both["personas"][0]["buyer"] == said["buyer"]
    assert both["personas"][1] is None
    assert both["absent"] == [{"index": 1, "reason": "unknown"}]


def test_items_are_judged_one_by_one(acme: httpx.Client) -> None:
    future = event("f", new_buyer()) | {"timestamp": 4_000_000_000_000}
    body = [event("g1", new_buyer()), {"event_id": "x"}, event("g2", new_buyer(), "nonsense"), future]
    body.append(event("g3", new_buyer()) | {"store": "other"})
    answer = acme.post("/v1/events", json=body)
    assert answer.status_code == 202
    receipt = answer.json()
    assert receipt["accepted"] == 1
    reasons = [(error["index"], error["reason"]) for error in receipt["errors"]]
    assert reasons == [
        (1, "invalid_field"),
        (2, "invalid_field"),
        (3, "future_timestamp"),
        (4, "other_store"),
    ]
    nothing = acme.post("/v1/events", json=[{"event_id": "x"}])
    assert nothing.status_code == 422
    assert nothing.json()["errors"][0]["index"] == 0


def test_vendors_payloads_and_their_bots(acme: httpx.Client) -> None:
    track = {
        "type": "track",
        "event": "Product Viewed",
        "anonymousId": "s-1",
        "timestamp": "2026-11-20T10:00:00Z",
    }
    bot = track | {
        "messageId": "2",
        "context": {"userAgent": "Googlebot/2.1 (+http://www.google.com/bot.html)"},
    }
    batch = [track | {"messageId": "1"}, bot, track | {"messageId": "3", "timestamp": "yesterday"}]
    receipt = acme.post("/v1/events?source=segment", json={"batch": batch}).json()
    assert receipt["accepted"] == 1
    assert receipt["skipped"] == {"bot": 1}
    assert [(e["index"], e["reason"]) for e in receipt["errors"]] == [(2, "bad_timestamp")]
    now = acme.post("/v1/events?source=ga4", json={"client_id": "c.1", "events": [{"name": "view_item"}]})
    assert now.json()["accepted"] == 1
    pixel = {
        "name": "page_viewed",
        "id": "1",
        "timestamp": "2026-11-20T10:00:00Z",
        "clientId": "c",
        "data": {},
    }
    assert acme.post("/v1/events?source=shopify", json=pixel).json()["accepted"] == 1


def test_gzip_is_unpacked_within_bounds(acme: httpx.Client) -> None:
    import json

    packed = gzip.compress(json.dumps([event("z1", new_buyer())]).encode())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    assert acme.post("/v1/events", content=packed, headers=headers).json()["accepted"] == 1
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 65_536
    assert acme.post("/v1/events", content=bomb, headers=headers).status_code == 413
    assert acme.post("/v1/events", content=packed[:-9], headers=headers).status_code == 400
    assert acme.post("/v1/events", content=b"[" + b" " * 70_000, headers={}).status_code == 413
    assert acme.post("/v1/stores/acme/sample", content=b" " * 70_000).status_code == 413
    brotli = {"Content-Encoding": "br"}
    assert acme.post("/v1/events", content=b"x", headers=brotli).status_code == 415


@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("GET", "/buyers/4711/persona"),
        ("POST", "/personas"),
        ("GET", "/stream"),
        ("GET", "/distribution"),
        ("POST", "/sample"),
        ("DELETE", "/buyers/4711"),
        ("GET", "/buyers/4711/erasure"),
    ],
)
def test_a_key_of_one_store_sees_no_other(
    api: Api, acme: httpx.Client, other: httpx.Client, method: str, rest: str
) -> None:
    body = {"buyers": ["4711"], "n": 1}
    for store in ("acme", "never-heard-of"):
        refused = other.request(method, f"/v1/stores/{store}{rest}", json=body)
        assert refused.status_code == 403
        assert refused.json()["type"] == "urn:simpersona:other-store"
    with api.client(None) as nobody:
        refused = nobody.request(method, f"/v1/stores/acme{rest}", json=body)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"


def test_the_same_raw_id_is_another_buyer_in_another_store(
    live: Rig, acme: httpx.Client, other: httpx.Client
) -> None:
    buyer = new_buyer()
    send(acme, event("s1", buyer))
    wait_for_persona(live, acme, buyer, 1)
    assert other.get(path(buyer, store="other")).json()["type"] == "urn:simpersona:unknown-buyer"


def test_a_key_does_what_its_scopes_say_until_it_is_revoked(api: Api) -> None:
    key = api.new_key("acme", "personas:read")
    with api.client(key) as reader:
        assert reader.get("/v1/personas").status_code == 200
        refused = reader.post("/v1/events", json=event("n", new_buyer()))
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:simpersona:missing-scope")
        (kept,) = [k for k in api.keys("list")["keys"] if k["id"] == key.split("_")[1]]
        assert key.split("_", 2)[2] not in str(api.keys("list"))
        assert api.keys("revoke", kept["id"])["revoked_at"] is not None
        assert reader.get("/v1/personas").status_code == 401
    with api.client(key[:-1] + ("A" if key[-1] != "A" else "B")) as forger:
        assert forger.get("/v1/personas").status_code == 401


def test_an_operators_key_is_of_every_store(live: Rig, api: Api) -> None:
    buyer = new_buyer()
    with api.client(api.new_key("*")) as operator:
        assert operator.post("/v1/events", json=event("op1", buyer)).status_code == 422
        track = {"type": "track", "event": "Product Viewed", "anonymousId": buyer, "messageId": "m"}
        track["timestamp"] = "2026-11-20T10:00:00Z"
        assert operator.post("/v1/events?source=segment", json=track).status_code == 422
        assert operator.post("/v1/events?source=segment&store=acme", json=track).json()["accepted"] == 1
        send(operator, event("op2", buyer) | {"store": "acme"})
        said = wait_for_persona(live, operator, buyer, 1)
        by_pseudonym = operator.get(path(said["buyer"]), params={"pseudonym": "true"}).json()
        assert by_pseudonym["buyer"] == said["buyer"]


def test_a_key_that_used_up_its_rate_waits(api: Api) -> None:
    with api.client(api.new_key("acme", "personas:read", rate=0.01, burst=2)) as client:
        assert [client.get("/v1/personas/1").status_code for _ in range(3)] == [200, 200, 429]
        refused = client.get("/v1/personas/1")
        assert int(refused.headers["retry-after"]) > 1


class Lines:
    """Reads a stream event by event."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.iter_lines()

    def __iter__(self) -> Iterator[dict[str, str]]:
        found: dict[str, str] = {}
        for line in self._lines:
            if line:
                field, _, value = line.partition(": ")
                found[field] = value
            elif found:
                yield found
                found = {}

    def until(self, event: str) -> dict[str, str]:
        return next(found for found in self if found.get("event") == event)


def test_a_stream_goes_on_where_its_reader_left(live: Rig, acme: httpx.Client, other: httpx.Client) -> None:
    buyer, stranger = new_buyer(), new_buyer()
    pseudonym = HASHER.buyer("acme", buyer)
    with acme.stream("GET", "/v1/stores/acme/stream", params={"buyer": buyer}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        events = Lines(response)
        hello = next(iter(events))
        assert hello["retry"]
        send(other, event("o1", buyer))
        send(acme, event("o2", stranger), event("o3", buyer))
        first = events.until("assignment")
        assert pseudonym in first["data"]
    # While nobody listened:
    send(acme, event("o4", buyer, "purchase"))
    wait_for_persona(live, acme, buyer, 2)
    again = {"Last-Event-ID": first["id"]}
    with acme.stream("GET", "/v1/stores/acme/stream", headers=again, params={"buyer": buyer}) as response:
        missed = Lines(response).until("assignment")
        assert pseudonym in missed["data"]
        assert missed["data"] != first["data"]
        assert '"events":2' in missed["data"]
    heartbeat = {"Last-Event-ID": missed["id"]}
    with acme.stream("GET", "/v1/stores/acme/stream", headers=heartbeat) as response:
        ids = [found["id"] for found, _ in zip(Lines(response), range(3), strict=False)]
        assert len(ids) == 3  # heartbeats carry one, too


def test_a_stream_from_nowhere_is_refused_or_told_of_the_gap(acme: httpx.Client) -> None:
    bad = acme.get("/v1/stores/acme/stream", headers={"Last-Event-ID": "yesterday"})
    assert (bad.status_code, bad.json()["type"]) == (400, "urn:simpersona:bad-last-event-id")
    ahead = {"Last-Event-ID": "-".join(["ffffff"] * 4)}
    with acme.stream("GET", "/v1/stores/acme/stream", headers=ahead) as response:
        assert Lines(response).until("gap")["id"] != ahead["Last-Event-ID"]


def test_an_erased_buyer_is_gone_and_may_come_back(live: Rig, api: Api, acme: httpx.Client) -> None:
    buyer = new_buyer()
    send(acme, event("d1", buyer))
    wait_for_persona(live, acme, buyer, 1)
    assert acme.get(path(buyer, "/erasure")).status_code == 404
    asked = acme.delete(path(buyer, ""))
    assert asked.status_code == 202
    # From the request on nobody is answered about what came before, whether or not a worker has come to it.
    assert acme.get(path(buyer)).json()["type"] == "urn:simpersona:erased-buyer"
    remaining = {it["what"]: it["until"] for it in asked.json()["remaining"]}
    topics = live.settings
    kept = (topics.topic, topics.assignments_topic, topics.dead_letters_topic, topics.control_topic)
    assert all(remaining[f"topic {name}"] > time.time() * 1000 for name in kept)
    assert {f"topic {topics.erasures_topic}", "archive", "receivers", "audit log"} < remaining.keys()
    assert all(name in asked.json()["remains"] for name in remaining)
    live.wait_for(
        lambda: acme.get(asked.json()["status_url"]).json()["state"] == "done", "the worker to erase"
    )
    done = acme.get(asked.json()["status_url"]).json()
    assert done["folded"] >= done["before_offset"] == asked.json()["before_offset"]
    assert done["request_id"] == asked.json()["request_id"]
    gone = acme.get(path(buyer))
    assert (gone.status_code, gone.json()["type"]) == (404, "urn:simpersona:erased-buyer")
    audit = (live.folder / "home" / "audit.jsonl").read_text()
    assert asked.json()["request_id"] in audit
    assert buyer not in audit
    assert HASHER.buyer("acme", buyer) not in audit + api.log.read_text()
    send(acme, event("d2", buyer))
    assert wait_for_persona(live, acme, buyer, 1)["events"] == 1


def test_who_opts_out_is_gone_and_comes_back_with_a_new_life(live: Rig, api: Api, acme: httpx.Client) -> None:
    buyer = new_buyer()
    send(acme, event("o1", buyer))
    wait_for_persona(live, acme, buyer, 1)
    out = acme.put(path(buyer, "/consent"), json={"given": False})
    assert (out.status_code, out.json()["consent"]) == (202, "withdrawn")
    assert acme.get(path(buyer)).json()["type"] == "urn:simpersona:erased-buyer"
    for number in (2, 3):  # without a statement: what was withdrawn stays so
        answer = acme.post("/v1/events", json=event(f"o{number}", buyer))
        assert answer.json() == {"accepted": 0, "skipped": {"opted_out": 1}, "errors": []}
    # A sender that writes to the topic itself passes no door: the worker leaves its event out.
    past_the_doors(live, HASHER.buyer("acme", buyer))
    live.wait_for(lambda: acme.get(path(buyer, "/erasure")).json()["state"] == "done", "the worker")
    assert acme.get(path(buyer)).status_code == 404
    assert acme.get(path(buyer, "/erasure")).json()["consent"] == "withdrawn"
    assert acme.put(path(buyer, "/consent"), json={"given": False}).json() == out.json()
    again = acme.post("/v1/events", json={**event("o5", buyer), "consent": True})
    assert again.json()["accepted"] == 1
    assert acme.get(path(buyer, "/erasure")).json()["consent"] == "given"
    assert wait_for_persona(live, acme, buyer, 1)["events"] == 1
    audit = (live.folder / "home" / "audit.jsonl").read_text()
    assert '"consent_withdrawn"' in audit
    assert HASHER.buyer("acme", buyer) not in audit + api.log.read_text()


def test_global_privacy_control_opts_the_senders_events_out(live: Rig, api: Api, acme: httpx.Client) -> None:
    buyer, asking = new_buyer(), {"Sec-GPC": "1"}
    send(acme, event("g1", buyer))
    wait_for_persona(live, acme, buyer, 1)
    pages = {"Origin": "https://shop.example"}
    published = api.page_key("acme", "https://shop.example")
    with api.client(None) as page:  # anybody has this key, and may name any buyer
        sent = event("g2", buyer)
        answer = page.post(f"/v1/events?key={published}", json=sent, headers=asking | pages)
        assert answer.json()["skipped"] == {"opted_out": 1}
        assert acme.get(path(buyer)).json()["events"] == 1
    answer = acme.post("/v1/events", json=event("g3", buyer), headers=asking)
    assert answer.json() == {"accepted": 0, "skipped": {"opted_out": 1}, "errors": []}
    assert acme.get(path(buyer)).json()["type"] == "urn:simpersona:erased-buyer"
    assert acme.get(path(buyer, "/erasure")).json()["consent"] == "withdrawn"


def test_a_flood_of_erasures_costs_the_key_that_sends_it(api: Api, other: httpx.Client) -> None:
    with api.client(api.new_key("acme", "buyers:erase", rate=1, burst=200)) as client:
        answers = [client.delete(path(new_buyer(), "")) for _ in range(8)]
    statuses = [answer.status_code for answer in answers]
    assert statuses == [202] * 4 + [429] * 4  # 50 requests each, by default
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert other.delete("/v1/stores/other/buyers/nobody").status_code == 202


def test_catalogue_distribution_and_sample_agree(acme: httpx.Client) -> None:
    catalogue = acme.get("/v1/personas").json()
    assert [card["code"] for card in catalogue["personas"]] == list(range(256))
    shares = acme.get("/v1/stores/acme/distribution").json()
    assert len(shares["reference"]) == 256
    assert sum(shares["reference"]) == pytest.approx(1)
    kind = catalogue["types"][0]
    asked = {"n": 200, "seed": 7, "filter": {"types": [kind["name"]]}}
    drawn = acme.post("/v1/stores/acme/sample", json=asked).json()["tokens"]
    assert drawn == acme.post("/v1/stores/acme/sample", json=asked).json()["tokens"]
    assert set(drawn) <= {f"<|persona_{code}|>" for code in kind["codes"]}
    assert (
        acme.post("/v1/stores/acme/sample", json={"n": 1, "filter": {"types": ["no-such"]}}).status_code
        == 422
    )


def test_errors_are_problem_documents_everywhere(acme: httpx.Client) -> None:
    answers = [
        acme.get("/nowhere"),
        acme.put("/v1/events"),
        acme.post("/v1/stores/acme/sample", json={"n": -1}),
        acme.get("/v1/personas/256"),
        acme.post("/v1/events", content=b"{"),
        acme.post("/v1/events", content=b"[" * 100_000),
    ]
    assert [answer.status_code for answer in answers] == [404, 405, 422, 422, 400, 413]
    for answer in answers:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code
