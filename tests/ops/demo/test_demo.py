"""The real demo in a process of its own: it loses nothing, survives its worker, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from tests.ops.demo.test_summary import KEYS
from tests.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.integration


class Demo:
    """A demo under way; its progress lines are read one by one."""

    def __init__(self, home: Path, *options: str) -> None:
        self.home = home
        self.said: list[str] = []
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SIMPERSONA_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ops.cli.main", "demo", *options],
            env=environment | {"SIMPERSONA_HOME": str(home)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Read on until a line matches."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"the demo ended without saying {pattern!r}:\n" + "".join(self.said))

    def end(self) -> int:
        """Read to the end; the exit status."""
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            self.said += lines
        return self.process.wait(PATIENCE_S)

    def wait_until_alone(self) -> None:
        """Until nothing runs on this demo's data folder any more."""
        wait_until(lambda: not self.processes(), "every process to end")

    def processes(self) -> list[psutil.Process]:
        """Everything else that still runs on this demo's data folder."""
        return [process for process in running_on(self.home) if process.pid != self.process.pid]


def running_on(home: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # Valkey writes its title over its environment: its log says whose it is
            mine = process.environ().get("SIMPERSONA_HOME", "").startswith(str(home))
            if mine or any(file.path.startswith(str(home)) for file in process.open_files()):
                found.append(process)
    return found


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A data folder; what a failed test left running on it is killed."""
    yield tmp_path
    for process in running_on(tmp_path):
        with suppress(psutil.Error):
            process.kill()


def test_a_killed_worker_is_replaced_and_nothing_is_lost(home: Path, tmp_path: Path) -> None:
    summary = tmp_path / "summary.json"
    demo = Demo(home, "--seconds", "12", "--rate", "300", "--summary", str(summary))
    demo.wait_for("first persona")
    os.kill(int(demo.wait_for(r"worker running \(pid (\d+)\)")[1]), signal.SIGKILL)
    demo.wait_for("the worker died; starting another")
    assert demo.end() == 0, "".join(demo.said)
    written = json.loads(summary.read_text())
    assert written.keys() == KEYS
    assert written["events_in"] == 3_600
    assert written["lost"] == 0
    assert written["dead_letters"] == {}
    assert written["buyers"] == written["verify"]["buyers"] > 0
    assert written["assignments_out"] >= written["buyers"]
    assert {written["verify"][name] for name in ("different", "missing", "extra")} == {0}
    assert written["event_to_tag_ms"]["p50"] <= written["event_to_tag_ms"]["p99"]
    assert demo.processes() == []


def test_a_demo_that_stays_answers_over_http(home: Path, tmp_path: Path) -> None:
    summary = tmp_path / "summary.json"
    demo = Demo(home, "--seconds", "3", "--rate", "300", "--stay", "--summary", str(summary))
    link = demo.wait_for(r"page (http\S+)/#key=(\S+)")
    demo.wait_for("staying up until Ctrl-C")
    written = json.loads(summary.read_text())
    assert written.keys() == KEYS | {"api_url", "api_key"}
    assert written["lost"] == 0
    assert link.groups() == (written["api_url"], written["api_key"])
    headers = {"Authorization": f"Bearer {written['api_key']}"}
    with httpx.Client(base_url=written["api_url"], headers=headers, timeout=60) as client:
        assert "<title>simpersona</title>" in client.get("/").text
        assert client.get("/v1/operation").json()["answering"] == 1
        assert len(client.get("/v1/personas").json()["personas"]) == 256
        now = time.time_ns() // 1_000_000
        click = {"event_id": "1", "store": "mine", "buyer": "me", "type": "page_view", "timestamp": now}
        assert client.post("/v1/events", json=click).status_code == 202
        mine = "/v1/stores/mine/buyers/me/persona"
        wait_until(lambda: not client.get(mine).json()["early"], "the worker's own assignment")
    demo.process.send_signal(signal.SIGINT)
    assert demo.end() == 130
    assert demo.processes() == []


@pytest.mark.parametrize("moment", ["starting kafka", "first persona"])  # any other: `make interrupts`
def test_ctrl_c_leaves_no_process_behind(home: Path, moment: str) -> None:
    demo = Demo(home, "--seconds", "3", "--rate", "300")
    demo.wait_for(moment)
    demo.process.send_signal(signal.SIGINT)
    assert demo.end() == 130, "".join(demo.said)
    # A signal that falls between a server's fork and its handle leaves the server to its guard.
    demo.wait_until_alone()


def test_a_second_demo_is_refused_and_a_killed_one_takes_everything_along(home: Path) -> None:
    demo = Demo(home, "--seconds", "600", "--rate", "300")
    demo.wait_for("first persona")
    second = Demo(home)
    assert second.end() == 1
    assert f"a demo already runs on {home / 'demo'}" in second.said[-1]
    assert len(demo.processes()) >= 6  # valkey, kafka, worker, and a guard each
    demo.process.kill()
    demo.end()
    demo.wait_until_alone()
