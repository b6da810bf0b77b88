"""A cluster of real Valkey servers on 127.0.0.1: masters, and from six nodes on a replica for each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import redis
from redis.exceptions import RedisError

from ops.errors import ServerStartError
from ops.stack.processes import Say, silent
from ops.stack.valkey import Valkey, node_name

FEWEST_NODES: Final = 3
FEWEST_WITH_REPLICAS: Final = 6
_SLOTS: Final = 16384
_PATIENCE_S: Final = 60
_POLL_S: Final = 0.05


def store_servers(folder: Path, nodes: int, *, owned: bool = False, say: Say = silent) -> tuple[Valkey, ...]:
    """One server, or the nodes of a cluster, in folders valkey, valkey-2 ... of `folder`; not started."""
    return tuple(
        Valkey(folder / node_name(node), node=node, of_cluster=nodes > 1, owned=owned, say=say)
        for node in range(1, nodes + 1)
    )


def store_nodes_made(folder: Path) -> int:
    """With how many nodes the store in `folder` was made; 0 before it was started for the first time."""
    made = 0
    while (folder / node_name(made + 1) / "data").exists():
        made += 1
    return made


def store_url(servers: Sequence[Valkey]) -> str:
    """The address of the store that these servers are."""
    if len(servers) == 1:
        return servers[0].address
    return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in servers)


def form_cluster(nodes: Sequence[Valkey]) -> None:
    """Make running nodes one cluster, or wait until they are one again: every slot has a master.

    Raises:
        ServerStartError: they do not come together.
    """
    clients = [redis.Redis(port=node.port, socket_timeout=5, decode_responses=True) for node in nodes]
    try:
        if _is_new(clients[0]):
            _form(nodes, clients)
        _wait(
            lambda: all(_info(client)["cluster_state"] == "ok" for client in clients), "every slot's master"
        )
    finally:
        for client in clients:
            client.close()


def _form(nodes: Sequence[Valkey], clients: Sequence[Any]) -> None:
    for number, client in enumerate(clients, 1):
        client.execute_command("CLUSTER SET-CONFIG-EPOCH", number)
    masters = clients[: len(clients) // 2] if len(clients) >= FEWEST_WITH_REPLICAS else clients
    limits = slot_limits(len(masters))
    for master, (first, after) in zip(masters, pairwise(limits), strict=True):
        master.execute_command("CLUSTER ADDSLOTSRANGE", first, after - 1)
    for node in nodes[1:]:
        clients[0].execute_command("CLUSTER MEET", "127.0.0.1", node.ports[0], node.ports[1])
    _wait(
        lambda: all(int(_info(client)["cluster_known_nodes"]) == len(nodes) for client in clients),
        "all nodes to know each other",
    )
    for replica, master in zip(clients[len(masters) :], masters, strict=False):
        name = master.execute_command("CLUSTER MYID")
        _wait(lambda: _replicates(replica, name), "a replica to know its master")  # noqa: B023 (called here)
    for replica in clients[len(masters) :]:
        _wait(lambda: replica.info("replication")["master_link_status"] == "up", "a replica's copy")  # noqa: B023


def _is_new(client: Any) -> bool:
    info = _info(client)
    return info["cluster_slots_assigned"] == "0" and info["cluster_known_nodes"] == "1"


def _replicates(replica: Any, master: str) -> bool:
    try:
        replica.execute_command("CLUSTER REPLICATE", master)
    except RedisError:  # the node has not heard of it yet
        return False
    return True


def slot_limits(masters: int) -> list[int]:
    """Where each master's slots begin, and where the last one's end: as even as they can be."""
    return [_SLOTS * i // masters for i in range(masters + 1)]


def _info(client: Any) -> dict[str, str]:
    answer: dict[str, str] = client.execute_command("CLUSTER INFO")
    return answer


def _wait(come: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + _PATIENCE_S
    while not come():
        if time.monotonic() > until:
            raise ServerStartError(f"the store's cluster did not form: waited {_PATIENCE_S} s for {what}")
        time.sleep(_POLL_S)
