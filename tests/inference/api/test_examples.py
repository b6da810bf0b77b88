"""The examples of docs/feeds.md run, against real servers, and are in the document as they are.

Those that use the client run where only the client is installed, as at a shop.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from feature_store.contract.identity import BuyerHasher
from ops.documents.pages import DOCS
from ops.stack.processes import free_ports
from tests.api_process import Api, event
from tests.clients.python.test_alone import PROJECT
from tests.empty_environment import EmptyEnvironment, build_wheel
from tests.inference.api.test_live_api import wait_for_persona
from tests.rig import Rig
from tests.streams.sinks.webhook.receiver import SECRET

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

EXAMPLES = sorted((DOCS / "examples").glob("*.py"))
HASHER = BuyerHasher(bytes.fromhex("ab" * 32))


@pytest.fixture(scope="module")
def environment(live: Rig, api: Api) -> dict[str, str]:
    """What the examples are told, beside the settings of our commands."""
    return api.environment | {
        "PERSONA_URL": api.url,
        "PERSONA_KEY": api.new_key("acme"),
        "KAFKA": live.kafka.bootstrap,
        "ASSIGNMENTS_TOPIC": live.settings.assignments_topic,
        "ERASURES_TOPIC": live.settings.erasures_topic,
        "SIMPERSONA_WEBHOOK_SECRET": SECRET,
        "BUDGET_S": "20",  # a machine under test may be slow
    }


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python that has simpersona-client and its extra, and nothing of ours besides."""
    wheel = build_wheel(PROJECT, tmp_path_factory.mktemp("client-wheel"))
    folder = tmp_path_factory.mktemp("shop") / "venv"
    return str(EmptyEnvironment(folder, wheel, ["openfeature"]).python)


def run(python: str, environment: dict[str, str], name: str, *arguments: str) -> str:
    command = [python, str(DOCS / "examples" / name), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def running(
    environment: dict[str, str], output: Path, *command: str, python: str = sys.executable
) -> Iterator[None]:
    """A program that does not end by itself."""
    with output.open("ab") as said:
        process = subprocess.Popen([python, *command], env=environment, stdout=said, stderr=said)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def said_of(live: Rig, acme: httpx.Client, buyer: str, output: Path) -> None:
    """Send an event of a buyer; wait until the program has said something of them."""
    acme.post("/v1/events", json=event(uuid.uuid4().hex, buyer)).raise_for_status()
    pseudonym = HASHER.buyer("acme", buyer)
    live.wait_for(lambda: f"{pseudonym} is" in output.read_text(), f"{pseudonym} in {output.read_text()}")


def test_client(environment: dict[str, str], shop: str) -> None:
    said = run(shop, environment, "client.py")
    assert "before the first click: unknown-buyer\n3 events accepted\n<|persona_" in said


def test_client_async(environment: dict[str, str], shop: str) -> None:
    said = run(shop, environment, "client_async.py")
    assert said.startswith("customer-1: unknown\ncustomer-2: unknown\n")
    assert said.count("<|persona_") == 5


def test_follow(
    live: Rig, acme: httpx.Client, environment: dict[str, str], shop: str, tmp_path: Path
) -> None:
    output, place = tmp_path / "said", tmp_path / "place"
    command = [str(DOCS / "examples" / "follow.py"), str(place)]
    buyers = [uuid.uuid4().hex for _ in range(3)]
    with running(environment, output, *command, python=shop):

        def open_() -> bool:  # whoever comes before the stream is open is not heard of
            acme.post("/v1/events", json=event(uuid.uuid4().hex, uuid.uuid4().hex)).raise_for_status()
            return place.exists()

        live.wait_for(open_, f"the stream to be open\n{output}")
        said_of(live, acme, buyers[0], output)
    acme.post("/v1/events", json=event("away", buyers[1])).raise_for_status()
    wait_for_persona(live, acme, buyers[1], 1)
    with running(environment, output, *command, python=shop):
        said_of(live, acme, buyers[2], output)
    assert f"{HASHER.buyer('acme', buyers[1])} is" in output.read_text()


def test_flags(live: Rig, acme: httpx.Client, environment: dict[str, str], shop: str) -> None:
    buyer = uuid.uuid4().hex
    acme.post("/v1/events", json=event("f1", buyer)).raise_for_status()
    wait_for_persona(live, acme, buyer, 1)
    said = run(shop, environment, "flags.py", buyer, "a-stranger")
    assert f"{buyer}: comparison table on\n" in said
    assert "persona_status unknown" in said
    assert "a-stranger: comparison table off\n" in said
    (nobody,) = free_ports(1)
    away = run(shop, environment | {"PERSONA_URL": f"http://127.0.0.1:{nobody}"}, "flags.py", buyer)
    assert "persona_status away" in away
    assert f"{buyer}: comparison table off\n" in away


def test_storefront(
    live: Rig, api: Api, acme: httpx.Client, environment: dict[str, str], shop: str, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    told = environment | {
        "PERSONA_KEY": api.new_key("acme", "tokens:create"),
        "PERSONA_PAGE_KEY": api.page_key("acme", f"http://127.0.0.1:{port}"),
    }
    command = [str(DOCS / "examples" / "storefront.py"), str(port)]
    with running(told, tmp_path / "log", *command, python=shop), httpx.Client() as shopper:
        live.wait_for(lambda: answers(port), "the storefront")
        page = shopper.get(f"http://127.0.0.1:{port}/").text
        (buyer,) = re.findall('data-buyer="(.*?)"', page)
        assert buyer in shopper.get(f"http://127.0.0.1:{port}/?buyer=somebody-else").text  # by its cookie
        acme.post("/v1/events", json=event(uuid.uuid4().hex, buyer)).raise_for_status()
        said = wait_for_persona(live, acme, buyer, 1)
        (token,) = re.findall('"(spt_.*?)"', page)
        with api.client(token) as reader:
            assert reader.get("/v1/persona").raise_for_status().json()["token"] == said["token"]


def test_receive_webhook(live: Rig, acme: httpx.Client, environment: dict[str, str], tmp_path: Path) -> None:
    (port,), output = free_ports(1), tmp_path / "said"
    told = environment | {
        "SIMPERSONA_WEBHOOK_URL": f"http://127.0.0.1:{port}/",
        "SIMPERSONA_WEBHOOK_GROUP": f"{live.settings.topic}-webhook",
        "SIMPERSONA_WEBHOOK_DEAD_LETTERS_TOPIC": live.settings.dead_letters_topic,
        "SIMPERSONA_WEBHOOK_BACKOFF_S": "0.5",
    }
    receiver = [str(DOCS / "examples" / "receive_webhook.py"), str(port)]
    with (
        running(told, output, *receiver),
        running(told, tmp_path / "log", "-m", "ops.cli.main", "webhook"),
    ):
        said_of(live, acme, uuid.uuid4().hex, output)
    forged = {"webhook-id": "x", "webhook-timestamp": str(int(time.time())), "webhook-signature": "v1,x"}
    with running(told, output, *receiver):
        live.wait_for(lambda: answers(port), "the receiver")
        assert httpx.post(f"http://127.0.0.1:{port}/", json={}, headers=forged).status_code == 401


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/").status_code > 0
    except httpx.TransportError:
        return False


def test_read_topic(live: Rig, acme: httpx.Client, environment: dict[str, str], tmp_path: Path) -> None:
    output, gone = tmp_path / "said", uuid.uuid4().hex
    acme.post("/v1/events", json=event("g1", gone)).raise_for_status()
    wait_for_persona(live, acme, gone, 1)
    erased = f"/v1/stores/acme/buyers/{gone}"
    acme.delete(erased).raise_for_status()
    live.wait_for(lambda: acme.get(f"{erased}/erasure").json()["state"] == "done", "the erasure")
    with running(environment, output, str(DOCS / "examples" / "read_topic.py")):
        said_of(live, acme, uuid.uuid4().hex, output)
        said_of(live, acme, uuid.uuid4().hex, output)
    assert HASHER.buyer("acme", gone) not in output.read_text()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_document_shows_the_example_as_it_runs(path: Path) -> None:
    page = (DOCS / "feeds.md").read_text()
    shown = re.search(rf"\[{path.name}\]\(examples/{path.name}\)\n\n```python\n(.*?)```\n", page, re.DOTALL)
    assert shown is not None, f"{path.name} is not in docs/feeds.md"
    assert shown[1] == path.read_text(), f"docs/feeds.md does not show {path.name} as it is"


def test_every_example_is_run() -> None:
    tests = Path(__file__).read_text()
    assert EXAMPLES
    for path in EXAMPLES:
        assert f"def test_{path.stem}(" in tests
