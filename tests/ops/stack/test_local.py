"""The whole stack on a data folder: idempotent up, detached and owned, and the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import psutil
import pytest
from confluent_kafka.admin import AdminClient

from feature_store.log.config import KafkaSettings
from ops.errors import StackInUseError
from ops.stack.local import LocalStack, StackInfo, load_stack, use_local_stack
from streams.settings import WorkerSettings
from tests.waiting import gone, wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[LocalStack]:
    stack = LocalStack(tmp_path / "home", partitions=2)
    yield stack
    stack.down()


def states(stack: LocalStack) -> dict[str, str]:
    return {server.name: server.state for server in stack.status()}


def test_up_starts_only_what_is_down(stack: LocalStack) -> None:
    said: list[str] = []
    stack.say = said.append
    ready: list[StackInfo] = []

    first = stack.up(on_ready=ready.append)
    assert ready == [first]
    assert load_stack(stack.data_dir) == first
    assert states(stack) == {"kafka": "ready", "valkey": "ready", "triton": "down"}

    said.clear()
    assert stack.up() == first
    assert [line for line in said if "already up" in line] == said

    psutil.Process(first.pids["valkey"]).kill()
    wait_until(lambda: states(stack)["valkey"] == "down", "valkey to be found dead")
    said.clear()
    second = stack.up()
    assert said == ["starting valkey", f"kafka is already up at {first.bootstrap_servers}"]
    assert second.pids["kafka"] == first.pids["kafka"]
    assert second.pids["valkey"] != first.pids["valkey"]
    assert second.ports == first.ports

    assert stack.down() == ["valkey", "kafka"]
    assert load_stack(stack.data_dir) is None
    assert stack.down() == []
    assert states(stack) == {"kafka": "down", "valkey": "down", "triton": "down"}


def test_an_owner_does_not_take_over_a_detached_stack(stack: LocalStack) -> None:
    info = stack.up()
    with (
        pytest.raises(StackInUseError, match="stack down"),
        LocalStack(stack.data_dir, partitions=2, owned=True) as other,
    ):
        other.up()
    assert states(stack)["kafka"] == "ready"
    assert load_stack(stack.data_dir) == info


def test_commands_find_the_stack_unless_the_environment_names_servers(
    tmp_path: Path,
) -> None:
    info = StackInfo(
        bootstrap_servers="127.0.0.1:1",
        redis_url="redis://127.0.0.1:2/0",
        triton_url=None,
        ports={},
        pids={},
        partitions=8,
    )
    (tmp_path / "stack.json").write_text(
        json.dumps({name: getattr(info, name) for name in info.__struct_fields__})
    )
    with patch.dict(os.environ, {"SIMPERSONA_KAFKA_BOOTSTRAP_SERVERS": "kafka.example:9092"}, clear=True):
        assert use_local_stack(tmp_path) is None
        assert KafkaSettings().bootstrap_servers == "kafka.example:9092"
        assert WorkerSettings().store_url == "redis://127.0.0.1:6379/0"
    with patch.dict(os.environ, clear=True):
        assert use_local_stack(tmp_path) == info
        assert KafkaSettings().bootstrap_servers == "127.0.0.1:1"
        assert WorkerSettings().store_url == "redis://127.0.0.1:2/0"
    with patch.dict(os.environ, clear=True):
        assert use_local_stack(tmp_path / "elsewhere") is None


OWNER = """
import sys, time
from pathlib import Path
from unittest.mock import patch
from ops.stack.local import LocalStack
with LocalStack(Path(sys.argv[1]), partitions=2, owned=True) as stack:
    info = stack.up()
    print(*info.pids.values(), flush=True)
    time.sleep(600)
"""


def test_an_owned_stack_leaves_no_process_when_its_owner_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OWNER, str(tmp_path / "home")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as owner:
        assert owner.stdout is not None
        pids = [int(pid) for pid in owner.stdout.readline().split()]
        processes = [psutil.Process(pid) for pid in pids] + psutil.Process(owner.pid).children(recursive=True)
        assert len(pids) == 2
        owner.kill()
        owner.wait(60)
        wait_until(lambda: all(map(gone, processes)), "every process to end")


def test_the_command(tmp_path: Path) -> None:
    def simpersona(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ops.cli.main", "stack", *arguments],
            env={**os.environ, "SIMPERSONA_HOME": str(tmp_path / "home")},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )

    try:
        up = simpersona("up", "--json")
        report = {server["name"]: server for server in json.loads(up.stdout)["servers"]}
        assert report["kafka"]["state"] == report["valkey"]["state"] == "ready"
        assert "starting kafka" in up.stderr
        admin = AdminClient({"bootstrap.servers": report["kafka"]["address"]})
        assert len(admin.list_topics("clickstream", timeout=10).topics["clickstream"].partitions) == 8
        assert (tmp_path / "home" / "feast-registry.db").exists()
        assert "ready" in simpersona("status").stdout
    finally:
        down = simpersona("down")
    assert down.stdout.split() == ["valkey", "down", "kafka", "down", "triton", "down"]
    assert "nothing was running" in simpersona("down").stderr
