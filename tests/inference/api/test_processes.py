"""Several API processes behind one port: who looks after them, with stand-ins, and they themselves."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from inference.api import processes
from inference.api.processes import run_processes, usable_cores
from inference.api.settings import ApiSettings
from inference.errors import ApiStartError
from tests.api_process import Api
from tests.rig import Rig
from tests.waiting import gone, wait_until

PARENT = """
import json, sys
from inference.api.processes import run_processes
from inference.api.settings import ApiSettings
settings = ApiSettings(port=0, grace_s=0.1, ack_timeout_s=0.1, hung_s=float(sys.argv[2]))
run_processes(2, settings, json.loads(sys.argv[1]))
"""
SERVES = """
import os, pathlib, sys, threading, time
pathlib.Path(sys.argv[1], str(os.getpid())).touch()
def say():
    while True:
        os.write(1, b"listens\\n")
        time.sleep(0.1)
threading.Thread(target=say, daemon=True).start()
sys.stdin.read()
"""
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{SERVES}"


class Parent:
    """Looks after two stand-ins, which note that they live."""

    def __init__(self, folder: Path, stand_in: str, hung_s: float) -> None:
        self._folder = folder
        command = json.dumps([sys.executable, "-c", stand_in, str(folder)])
        self.process = subprocess.Popen([sys.executable, "-c", PARENT, command, str(hung_s)])

    def children(self) -> list[psutil.Process]:
        """Those that ever listened and live."""
        found = []
        for noted in self._folder.iterdir():
            with suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(int(noted.name)))
        return [one for one in found if not gone(one)]

    def wait_for_two(self) -> list[psutil.Process]:
        wait_until(lambda: len(self.children()) == 2, "two processes")
        return self.children()


def parent_of(folder: Path, stand_in: str, hung_s: float = 600) -> Iterator[Parent]:
    made = Parent(folder, stand_in, hung_s)
    try:
        yield made
    finally:
        left = made.children()
        made.process.kill()
        made.process.wait()
        for one in left:
            with suppress(psutil.NoSuchProcess):
                one.kill()


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[Parent]:
    yield from parent_of(tmp_path, SERVES)


@pytest.fixture
def parent_of_stubborn(tmp_path: Path) -> Iterator[Parent]:
    yield from parent_of(tmp_path, STUBBORN)


@pytest.fixture
def impatient_parent(tmp_path: Path) -> Iterator[Parent]:
    yield from parent_of(tmp_path, SERVES, 2)


def test_a_process_that_hangs_is_started_again(impatient_parent: Parent) -> None:
    first, _ = impatient_parent.wait_for_two()
    first.suspend()
    wait_until(lambda: gone(first), "the hung one to be killed")
    impatient_parent.wait_for_two()


def test_a_process_that_dies_is_started_again_and_a_signal_ends_all(parent: Parent) -> None:
    first, second = parent.wait_for_two()
    first.kill()
    wait_until(lambda: gone(first), "the first to end")
    after = parent.wait_for_two()
    assert second in after
    parent.process.send_signal(signal.SIGINT)
    assert parent.process.wait(60) == 0
    assert all(gone(one) for one in after)


def test_no_process_outlives_its_parent(parent: Parent) -> None:
    children = parent.wait_for_two()
    parent.process.kill()
    for child in children:
        wait_until(lambda one=child: gone(one), "an orphan to end")  # type: ignore[misc]


def test_a_second_ctrl_c_kills_those_that_do_not_end(parent_of_stubborn: Parent) -> None:
    children = parent_of_stubborn.wait_for_two()
    parent_of_stubborn.process.send_signal(signal.SIGINT)
    parent_of_stubborn.process.send_signal(signal.SIGINT)
    assert parent_of_stubborn.process.wait(60) == 0
    assert all(gone(one) for one in children)


def test_where_none_can_serve_the_first_says_why_once(capfd: pytest.CaptureFixture[str]) -> None:
    refuses = [sys.executable, "-c", "import sys; sys.exit('there is no bundle')"]
    with pytest.raises(SystemExit, match="1"):
        run_processes(3, ApiSettings(port=0), refuses)
    assert capfd.readouterr().err.count("there is no bundle") == 1


def test_an_address_that_is_taken_is_named_also_by_those_who_would_share_it() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ApiStartError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            run_processes(2, ApiSettings(port=port), ["never started"])


@pytest.mark.parametrize(("quota", "most"), [("max 100000", None), ("50000 100000", 1), ("100000 100000", 1)])
def test_a_containers_quota_counts_as_cores(
    quota: str, most: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_CPU_QUOTA", tmp_path / "cpu.max")
    every = usable_cores()
    assert every == len(os.sched_getaffinity(0))
    (tmp_path / "cpu.max").write_text(quota)
    assert usable_cores() == (every if most is None else most)


def answered(api: Api, key: str, count: int) -> list[int]:
    """Statuses of so many requests, each over a connection of its own: any process may have it."""
    statuses = []
    for _ in range(count):
        with api.client(key) as client:
            statuses.append(client.get("/v1/personas/1").status_code)
    return statuses


def counted(api: Api) -> int:
    found = re.search(r'requests_total\{route="/v1/personas/\{code\}",status="200"\} (\S+)', api.metrics())
    return round(float(found[1])) if found else 0


def processes_of(api: Api) -> list[psutil.Process]:
    return [one for one in psutil.Process(api.process.pid).children() if not gone(one)]


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_two_processes_count_and_charge_as_one(live: Rig) -> None:
    api = Api(live, processes=2, heartbeat_s=0.5, hung_s=15)
    key, poor = api.new_key("acme"), api.new_key("acme", rate=0.001, burst=5)

    def both_serve() -> bool:
        return sum(listens(one) for one in processes_of(api)) == 2

    def listens(one: psutil.Process) -> bool:
        return any(found.status == psutil.CONN_LISTEN for found in one.net_connections())

    try:
        wait_until(both_serve, "two processes to listen")
        before = counted(api)
        assert answered(api, key, 20) == [200] * 20
        assert [counted(api) for _ in range(6)] == [before + 20] * 6  # whoever answers
        assert answered(api, poor, 8) == [200] * 5 + [429] * 3
        first, second = processes_of(api)
        first.kill()
        wait_until(lambda: gone(first), "one of them to die")
        wait_until(lambda: len(processes_of(api)) == 2 and both_serve(), "another in its place")
        assert second in processes_of(api)
        assert counted(api) >= before + 20, "what the dead one counted is lost"
        second.suspend()  # the kernel still gives it connections
        wait_until(lambda: gone(second), "the hung one to be killed")
        wait_until(lambda: len(processes_of(api)) == 2 and both_serve(), "another in its place")
        left = processes_of(api)
        assert api.stop() == 0, api.log.read_text()
        assert all(gone(one) for one in left)
    finally:
        api.process.kill()
