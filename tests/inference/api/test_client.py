"""The Python client on a real API beside a real worker."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Iterator

import pytest

from simpersona_client import (
    Absent,
    Assigned,
    AsyncPersonaClient,
    Gap,
    NoPersonaError,
    NotAllowedError,
    Persona,
    PersonaClient,
)
from tests.api_process import Api, event
from tests.rig import Rig

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def key(api: Api) -> str:
    return api.new_key("acme")


@pytest.fixture(scope="module")
def client(api: Api, key: str) -> Iterator[PersonaClient]:
    with PersonaClient(api.url, key) as made:
        yield made


def new_buyer() -> str:
    return f"shop/..{uuid.uuid4().hex}"


def said(live: Rig, client: PersonaClient, buyer: str, events: int = 1) -> Persona:
    found: list[Persona] = []

    def done() -> bool:
        found.append(client.persona("acme", buyer))
        return not found[-1].early and found[-1].events >= events

    live.wait_for(done, "the persona")
    return found[-1]


def test_from_the_first_event_to_the_erasure(live: Rig, client: PersonaClient) -> None:
    buyer = new_buyer()
    with pytest.raises(NoPersonaError, match="unknown-buyer"):
        client.persona("acme", buyer)
    receipt = client.send([event("c1", buyer), event("c2", buyer, "nonsense")])
    assert (receipt.accepted, [error.index for error in receipt.errors]) == (1, [1])
    known = said(live, client, buyer)
    assert client.card(known.code).token == known.token
    both = client.personas("acme", [buyer, "nobody"])
    assert isinstance(both[0], Persona)
    assert both[0].buyer == known.buyer
    assert both[1] == Absent(index=1, reason="unknown")
    assert client.persona("acme", known.buyer, pseudonym=True).code == known.code
    assert client.erase("acme", buyer).state in ("requested", "done")
    live.wait_for(lambda: client.erasure("acme", buyer).state == "done", "the worker to erase")
    with pytest.raises(NoPersonaError) as gone:
        client.persona("acme", buyer)
    assert gone.value.kind == "erased-buyer"


def test_populations(client: PersonaClient) -> None:
    catalogue = client.catalogue()
    assert [card.code for card in catalogue.personas] == list(range(256))
    shares = client.distribution("acme")
    assert shares.codebook_version == catalogue.codebook_version
    assert shares.reference is not None
    assert sum(shares.reference) == pytest.approx(1)
    kind = catalogue.types[0]
    drawn = client.sample("acme", 50, seed=3, types=[kind.name])
    assert drawn == client.sample("acme", 50, seed=3, types=[kind.name])
    assert set(drawn.tokens) <= {catalogue.personas[code].token for code in kind.codes}


def test_another_stores_key_is_refused(client: PersonaClient) -> None:
    with pytest.raises(NotAllowedError, match="403 other-store"):
        client.distribution("other")
    with pytest.raises(NotAllowedError):
        next(client.follow("other"))


def test_the_async_client_asks_and_follows(live: Rig, api: Api, key: str, client: PersonaClient) -> None:
    buyers = [new_buyer() for _ in range(8)]
    client.send([event(f"p{number}", buyer) for number, buyer in enumerate(buyers)])
    for buyer in buyers:
        said(live, client, buyer)

    async def run() -> tuple[list[Persona], int]:
        async with AsyncPersonaClient(api.url, key) as asked:
            together = await asyncio.gather(*(asked.persona("acme", buyer) for buyer in buyers))
            await asked.send([event("q1", buyers[0], "purchase")])
            told = asked.follow("acme", buyer=buyers[0], after="0-0-0-0")
            async for item in told:
                if isinstance(item, Assigned) and item.assignment.events == 2:
                    return together, item.assignment.code
        raise AssertionError("the stream ended")

    together, code = asyncio.run(run())
    assert [one.early for one in together] == [False] * 8
    assert code == said(live, client, buyers[0], 2).code


def test_a_stream_goes_on_over_restarts_of_the_api(live: Rig, api: Api, client: PersonaClient) -> None:
    replica = Api(live, heartbeat_s=0.2)
    key = replica.new_key("acme")
    buyer, told, refused = new_buyer(), list[Assigned | Gap](), list[NotAllowedError]()

    def follow() -> None:
        with PersonaClient(replica.url, key) as reader:
            try:
                told.extend(reader.follow("acme", buyer=buyer))
            except NotAllowedError as error:
                refused.append(error)

    def is_open() -> bool:
        return "simpersona_api_streams 1.0" in replica.metrics()

    def told_of(events: int) -> bool:
        return any(isinstance(item, Assigned) and item.assignment.events == events for item in told)

    thread = threading.Thread(target=follow)
    thread.start()
    live.wait_for(is_open, "the stream to be open")
    client.send([event("r1", buyer)])
    live.wait_for(lambda: told_of(1), "the first assignment")
    replica.process.kill()  # without a word to the reader
    replica.process.wait(30)
    client.send([event("r2", buyer, "purchase")])  # by the other replica
    said(live, client, buyer, 2)
    replica.start()
    live.wait_for(lambda: told_of(2), "what was missed")
    assert replica.stop() == 0  # this time with one: closing
    replica.start()
    live.wait_for(is_open, "the stream to be open again")
    api.keys("revoke", key.split("_")[1])
    thread.join(60)
    assert not thread.is_alive()
    assert [error.kind for error in refused] == ["no-key"]
    assert not any(isinstance(item, Gap) for item in told)
    assert replica.stop() == 0
