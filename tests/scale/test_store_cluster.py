"""Three real masters with a replica each, a real worker, events all the time: masters die, a slot moves."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.crc import key_slot

from feature_store.errors import OnlineStoreError
from feature_store.online.keys import Keys
from feature_store.online.reads import BuyerReader
from feature_store.online.servers.shared_cluster import open_shared
from ops.stack.kafka import Kafka
from ops.stack.valkey import Valkey
from ops.stack.valkey_cluster import form_cluster
from tests.rig import PARTITIONS, Rig

pytestmark = pytest.mark.faults

RATE = 800
BUYERS = [f"acme|{number:016x}".encode() for number in range(300)]


@pytest.fixture
def rig(kafka: Kafka, tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(kafka, tmp_path, store_nodes=6)
    yield rig
    rig.close()


@pytest.fixture
def ask() -> Iterator[Callable[..., Any]]:
    """Ask a node: ask(node, "CLUSTER MYID")."""
    clients: dict[int, redis.Redis] = {}

    def command(node: Valkey, *parts: object) -> Any:
        client = clients.setdefault(node.port, redis.Redis(port=node.port, decode_responses=True))
        return client.execute_command(*parts)  # type: ignore[no-untyped-call]

    yield command
    for client in clients.values():
        client.close()


def slot_of(rig: Rig, partition: int) -> int:
    return key_slot(Keys(rig.settings.topic).of(partition))


def owner_of(rig: Rig, slot: int, ask: Callable[..., Any]) -> Valkey:
    """The master of a slot, by the nodes that run."""
    asked = next(node for node in rig.store if node.running)
    for first, last, (_, port, *_), *_ in ask(asked, "CLUSTER SLOTS"):
        if first <= slot <= last:
            return next(node for node in rig.store if node.port == port)
    raise AssertionError(f"nobody owns slot {slot}")


def replica_of(rig: Rig, master: Valkey, ask: Callable[..., Any]) -> Valkey:
    ((_, port, _),) = ask(master, "ROLE")[2]
    port = int(port)
    return next(node for node in rig.store if node.port == port)


def test_masters_die_under_load_and_their_replicas_go_on(rig: Rig, ask: Callable[..., Any]) -> None:
    worker = rig.worker()
    worker.wait_assigned()
    with rig.trickle(rate=RATE):
        rig.wait_for_more(500)
        for partition in range(2):
            master = owner_of(rig, slot_of(rig, partition), ask)
            noticed = worker.count("reading_again")
            master.kill()
            rig.wait_for(lambda n=noticed: worker.count("reading_again") > n, "the worker to notice")
            rig.wait_for(lambda: _answers(rig), "a replica to be the master")
            rig.wait_for_more(500)
            master.start()  # comes back as a replica
            form_cluster(rig.store)
    report = rig.assert_nothing_lost()
    assert report.buyers > 200


def test_a_slot_moves_under_load(rig: Rig, ask: Callable[..., Any]) -> None:
    rig.worker().wait_assigned()
    slot = slot_of(rig, 0)
    source = owner_of(rig, slot, ask)
    target = next(
        node for node in rig.store if node is not source and "master" in ask(node, "ROLE")[0] and node.running
    )
    names = {node: ask(node, "CLUSTER MYID") for node in (source, target)}
    with rig.trickle(rate=RATE):
        rig.wait_for_more(500)
        ask(target, "CLUSTER SETSLOT", slot, "IMPORTING", names[source])
        ask(source, "CLUSTER SETSLOT", slot, "MIGRATING", names[target])
        while keys := ask(source, "CLUSTER GETKEYSINSLOT", slot, 50):
            ask(source, "MIGRATE", "127.0.0.1", target.port, "", 0, 5_000, "KEYS", *keys)
        for node in (target, source):
            ask(node, "CLUSTER SETSLOT", slot, "NODE", names[target])
        rig.wait_for(lambda: owner_of(rig, slot, ask) is target, "all to know the new owner")
        rig.wait_for(lambda: _answers(rig), "this process to know it too")
        rig.wait_for_more(500)
    rig.assert_nothing_lost()


def test_a_replica_that_lacked_acknowledged_writes_is_promoted(rig: Rig, ask: Callable[..., Any]) -> None:
    worker = rig.worker()
    worker.wait_assigned()
    master = owner_of(rig, slot_of(rig, 0), ask)
    replica = replica_of(rig, master, ask)
    rig.send(1_000)
    rig.wait_caught_up()
    process = replica.process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)  # acknowledged by the master alone from here on
    rig.send(1_000)
    rig.wait_caught_up()
    master.kill()
    os.kill(process.pid, signal.SIGCONT)
    rig.wait_for(lambda: _took_over(replica, ask), "the replica to take over")
    rig.wait_for(lambda: _answers(rig), "all to know of it")
    rig.send(500)
    rig.assert_nothing_lost()


def _answers(rig: Rig) -> bool:
    """Whether every partition has a master that answers."""
    try:
        rig.folded()
    except OnlineStoreError:
        return False
    return True


def _took_over(replica: Valkey, ask: Callable[..., Any]) -> bool:
    try:
        if ask(replica, "ROLE")[0] == "master":
            return True
        ask(replica, "CLUSTER FAILOVER", "TAKEOVER")
    except redis.RedisError:  # still loading, or hanging
        pass
    return False


@pytest.mark.asyncio
async def test_a_reader_of_the_api_follows(rig: Rig, ask: Callable[..., Any]) -> None:
    rig.worker().wait_assigned()
    rig.send(2_000)
    rig.wait_caught_up()
    store = open_shared(rig.settings.store_url)
    reader = BuyerReader(store, rig.settings.topic)
    before = await reader.read(BUYERS)
    assert sum(read.persona is not None for read in before) > 250
    owner_of(rig, slot_of(rig, PARTITIONS - 1), ask).kill()
    for _ in range(200):
        with suppress(OnlineStoreError):
            assert await reader.read(BUYERS) == before
            break
    else:
        raise AssertionError("the reader never came back")
    await store.aclose()
