"""Looking back through the API and the command, beside a real worker."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from feature_store.contract.identity import BuyerHasher
from inference.api.access.audit import read_audit
from ops.cli.buyers.as_of import as_of
from ops.cli.buyers.why import why_command
from ops.cli.live.archive import archive
from ops.past.assignment_archive import archived_assignments
from tests.api_process import SCOPES, Api, event
from tests.inference.api.test_live_api import new_buyer, path, send, wait_for_persona
from tests.rig import Rig

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

HASHER = BuyerHasher(bytes.fromhex("ab" * 32))
KINDS = ("product_view", "product_view", "add_to_cart", "view_cart", "begin_checkout", "purchase")


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def history(api: Api) -> Any:
    with api.client(api.new_key("acme", *SCOPES, "history:read")) as client:
        yield client


def shopper(live: Rig, client: httpx.Client) -> str:
    """A buyer whose events came one by one, each folded before the next."""
    buyer = new_buyer()
    for number, kind in enumerate(KINDS, 1):
        send(client, event(f"{buyer}-{number}", buyer, kind))
    wait_for_persona(live, client, buyer, len(KINDS))
    return buyer


def test_what_was_assigned_is_given_again_by_the_fold(live: Rig, api: Api, history: httpx.Client) -> None:
    buyer = shopper(live, history)
    now = history.get(path(buyer)).json()
    then = history.get(path(buyer), params={"at": str(now["assigned_at"])}).json()
    assigned = then["assignment"]
    same = ("code", "token", "type", "confidence", "forecast", "forecast_probability", "codebook_version")
    assert {name: assigned[name] for name in same} == {name: now[name] for name in same}
    assert then["replay"] == {"agrees": True, "note": None}
    assert [one["type"] for one in then["events"]] == list(KINDS[: assigned["events"]])
    first = then["events"][0]["offset"]
    at_first = history.get(path(buyer), params={"at": f"{assigned['partition']}:{first}"}).json()
    assert (at_first["assignment"]["events"], at_first["assignment"]["offset"]) == (1, first)
    assert at_first["replay"]["agrees"] is True
    lines = [line.action for line in read_audit(live.folder / "home")]
    assert lines.count("read_as_of") >= 2


def test_the_command_gives_the_same(live: Rig, api: Api, history: httpx.Client) -> None:
    buyer = shopper(live, history)
    wanted = history.get(path(buyer), params={"at": str(time.time_ns() // 1_000_000)}).json()
    arguments = ["--store", "acme", "--buyer", buyer, "--at", str(time.time_ns() // 1_000_000)]
    done = CliRunner().invoke(as_of, [*arguments, "--json"], env=api.environment)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == wanted
    shown = CliRunner().invoke(as_of, arguments, env=api.environment)
    assert "their fold gives the same" in shown.stdout


def test_moments_that_cannot_be_answered(live: Rig, history: httpx.Client) -> None:
    buyer = shopper(live, history)
    then = history.get(path(buyer), params={"at": str(time.time_ns() // 1_000_000)}).json()
    partition, first = then["assignment"]["partition"], then["events"][0]["offset"]
    moments = {
        "yesterday": (422, "no-such-moment", "ISO 8601"),
        "2999-01-01": (422, "no-such-moment", "in the future"),
        f"{partition}:999999999": (422, "no-such-moment", "in the future"),
        f"{partition + 1}:0": (422, "no-such-moment", f"in partition {partition}"),
        "2001-01-01T00:00:00Z": (404, "nothing-assigned", "the first assignment"),
    }
    if first > 0:
        moments[f"{partition}:{first - 1}"] = (404, "nothing-assigned", "the first assignment")
    for at, (status, kind, words) in moments.items():
        answer = history.get(path(buyer), params={"at": at})
        assert (answer.status_code, answer.json()["type"]) == (status, f"urn:simpersona:{kind}"), at
        assert words in answer.json()["detail"], at
    unknown = history.get(path(new_buyer()), params={"at": "2026-01-01"})
    assert (unknown.status_code, unknown.json()["type"]) == (404, "urn:simpersona:nothing-assigned")


def test_the_scope_is_needed_and_the_store_is_the_keys(api: Api, acme: httpx.Client) -> None:
    answer = acme.get(path("anybody"), params={"at": "2026-01-01"})
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:simpersona:missing-scope")


def test_who_was_erased_has_no_past(live: Rig, history: httpx.Client) -> None:
    buyer = shopper(live, history)
    before = str(time.time_ns() // 1_000_000)
    assert history.get(path(buyer), params={"at": before}).status_code == 200
    assert history.delete(path(buyer, "")).status_code == 202
    status = path(buyer, "/erasure")
    for _ in range(2):  # at once, and when the log says where it lies
        answer = history.get(path(buyer), params={"at": before})
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:simpersona:erased-buyer")
        live.wait_for(lambda: history.get(status).json()["state"] == "done", "the erasure to be done")


def test_who_opted_out_has_no_past_and_no_present(live: Rig, history: httpx.Client) -> None:
    buyer = shopper(live, history)
    before = str(time.time_ns() // 1_000_000)
    assert history.put(path(buyer, "/consent"), json={"given": False}).status_code == 202
    live.wait_for(lambda: history.get(path(buyer, "/erasure")).json()["state"] == "done", "the opt-out")
    late = history.post("/v1/events", json=event(f"{buyer}-after", buyer)).json()
    assert late["skipped"] == {"opted_out": 1}
    after = str(time.time_ns() // 1_000_000)
    for rest, at in (
        ("/persona", before),
        ("/persona", after),
        ("/why", before),
        ("/why", None),
        ("/report", None),
    ):
        answer = history.get(path(buyer, rest), params={"at": at} if at else {})
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:simpersona:erased-buyer"), (rest, at)


def test_why_and_the_report(live: Rig, api: Api, history: httpx.Client) -> None:
    buyer = shopper(live, history)
    found = history.get(path(buyer, "/why")).raise_for_status().json()
    assert found["as_of"]["replay"]["agrees"] is True
    assert found["looked_at"] == found["as_of"]["assignment"]["events"]
    assert {act["act"] for act in found["acts"]} <= set(KINDS)
    assert found["in_words"][0].startswith(f"This shopper: {found['looked_at']} events, 1 sessions")
    whole = history.get(path(buyer, "/report")).raise_for_status().json()
    assert [one["type"] for one in whole["events"]] == list(KINDS)
    assert whole["assignments"][-1] == found["as_of"]["assignment"] | {"schema_version": 1}
    assert whole["why"] == found
    first = found["as_of"]["events"][0]["offset"]
    partition = found["as_of"]["assignment"]["partition"]
    one = history.get(path(buyer, "/why"), params={"at": f"{partition}:{first}"}).raise_for_status().json()
    assert (one["looked_at"], one["events"]) == (0, [])
    arguments = ["--store", "acme", "--buyer", buyer]
    shown = CliRunner().invoke(why_command, arguments, env=api.environment)
    assert shown.exit_code == 0, shown.output
    assert found["in_words"][0] in shown.stdout
    reported = CliRunner().invoke(why_command, [*arguments, "--report"], env=api.environment)
    assert json.loads(reported.stdout) == whole
    assert history.delete(path(buyer, "")).status_code == 202
    for rest in ("/why", "/report"):
        answer = history.get(path(buyer, rest))
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:simpersona:erased-buyer")
        assert history.delete(path(buyer, rest)).status_code == 405
    lines = {line.action for line in read_audit(live.folder / "home")}
    assert {"read_why", "read_report"} <= lines


def test_the_archive_of_assignments_answers_the_same(live: Rig, api: Api, history: httpx.Client) -> None:
    buyer, gone = shopper(live, history), shopper(live, history)
    moment = {"at": str(time.time_ns() // 1_000_000)}
    from_topic = history.get(path(buyer), params=moment).json()
    for _ in range(2):  # the second time there is nothing new
        done = CliRunner().invoke(archive, ["--once"], env=api.environment)
        assert done.exit_code == 0, done.output
    files = list((live.folder / "home" / "assignments").rglob("*.parquet"))
    key = f"acme|{HASHER.buyer('acme', buyer)}".encode()
    archived = [one.assignment for path_ in files for one in archived_assignments(path_, key)]
    assert archived[-1].offset == from_topic["assignment"]["offset"]
    assert history.get(path(buyer), params=moment).json() == from_topic
    assert history.delete(path(gone, "")).status_code == 202
    status = path(gone, "/erasure")
    live.wait_for(lambda: history.get(status).json()["state"] == "done", "the erasure to be done")
    assert CliRunner().invoke(archive, ["--once"], env=api.environment).exit_code == 0
    erased = f"acme|{HASHER.buyer('acme', gone)}".encode()
    files = list((live.folder / "home" / "assignments").rglob("*.parquet"))
    assert [one for path_ in files for one in archived_assignments(path_, erased)] == []
