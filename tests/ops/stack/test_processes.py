"""Process handling on small Python servers: no Kafka needed to see a process die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil
import pytest

from ops.errors import ServerStartError, StackInUseError
from ops.stack.processes import Server, free_ports, port_answers, port_is_free
from tests.waiting import gone, wait_until

LISTEN = """
import signal, socket, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
if sys.argv[2] == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    listener.accept()[0].close()
"""


class Toy(Server):
    """Listens on its port and has one child, as Triton has its stub."""

    name = "toy"
    ready_seconds = 10
    grace_seconds = 1

    def __init__(self, folder: Path, code: str = LISTEN, mode: str = "", owned: bool = False) -> None:
        super().__init__(folder, owned=owned)
        self.code = code
        self.mode = mode

    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        return [sys.executable, "-c", self.code, str(self.port), self.mode], {}

    def answers(self) -> bool:
        return port_answers(self.port)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@pytest.fixture(params=[True, False], ids=["owned", "detached"])
def owned(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[Callable[..., Toy]]:
    made: list[Toy] = []

    def make(**options: object) -> Toy:
        made.append(Toy(tmp_path / "toy", **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for server in made:
        server.kill()


def family(server: Server) -> list[psutil.Process]:
    assert server.process is not None
    return [server.process, *server.process.children(recursive=True)]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_stopped_server_leaves_neither_its_children_nor_its_port(
    toy: Callable[..., Toy], owned: bool, end: str
) -> None:
    server = toy(owned=owned)
    server.start()
    processes = family(server)
    assert len(processes) == 2
    getattr(server, end)()
    assert not server.running
    wait_until(lambda: all(map(gone, processes)), "every process to end")
    assert port_is_free(server.port)


def test_a_server_that_ignores_term_is_killed_after_the_grace(toy: Callable[..., Toy], owned: bool) -> None:
    server = toy(mode="deaf", owned=owned)
    server.start()
    processes = family(server)
    server.stop()
    wait_until(lambda: all(map(gone, processes)), "every process to end")


def test_a_killed_server_comes_back_on_its_port(toy: Callable[..., Toy], owned: bool) -> None:
    server = toy(owned=owned)
    server.start()
    port, first = server.port, server.process
    server.kill()
    server.start()
    assert server.port == port
    assert server.process is not None
    assert server.process != first


def test_a_port_taken_by_somebody_else_is_replaced(toy: Callable[..., Toy]) -> None:
    import socket

    server = toy(owned=True)
    server.start()
    port = server.port
    server.stop()
    with socket.create_server(("127.0.0.1", port)):
        server.start()
        assert server.port != port


def test_a_later_command_finds_a_detached_server(toy: Callable[..., Toy]) -> None:
    toy().start()
    later = toy()
    assert later.running
    assert later.answers()
    later.stop()
    assert not toy().running


def test_two_owners_of_one_folder_are_refused(toy: Callable[..., Toy]) -> None:
    toy(owned=True).start()
    with pytest.raises(StackInUseError, match="already runs"):
        toy(owned=True).start()


def test_a_pid_file_of_another_process_is_not_believed(toy: Callable[..., Toy], tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "toy.pid").write_text(f'{{"pid": {os.getpid()}, "created": 1.0, "owned": false}}')
    server = toy()
    assert not server.running
    server.kill()  # must not hit the test itself


def test_a_server_that_dies_at_start_is_reported_with_its_last_words(
    toy: Callable[..., Toy], owned: bool
) -> None:
    server = toy(code="raise SystemExit('no room on the disk')", owned=owned)
    with pytest.raises(ServerStartError, match=r"(?s)toy ended.*no room on the disk"):
        server.start()
    server.kill()


def test_a_command_that_cannot_be_executed_is_reported(toy: Callable[..., Toy], owned: bool) -> None:
    server = toy(owned=owned)
    server.command = lambda: (["/nowhere/to/be/found"], {})  # type: ignore[method-assign]
    with pytest.raises(ServerStartError, match="could not be executed"):
        server.start()


OWNER = """
import signal, sys, time
from pathlib import Path
from tests.ops.stack.test_processes import Toy
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background inherit an ignored one
server = Toy(Path(sys.argv[1]), mode=sys.argv[2], owned=True)
server.start()
print(server.process.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("mode", ["", "deaf"])
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_an_owned_server_ends_with_its_owner(tmp_path: Path, end: signal.Signals, mode: str) -> None:
    command = [sys.executable, "-c", textwrap.dedent(OWNER), str(tmp_path / "toy"), mode]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as owner:
        assert owner.stdout is not None
        server = psutil.Process(int(owner.stdout.readline()))
        processes = [server, *server.parents()[:1], *server.children(recursive=True)]
        assert len(processes) == 3  # server, guard, the server's child
        owner.send_signal(end)
        owner.wait(10)
        wait_until(lambda: all(map(gone, processes)), "every process to end")


def test_free_ports_are_different_and_below_the_ephemeral_range() -> None:
    ports = free_ports(50)
    assert len(set(ports)) == 50
    assert max(ports) < 32_768
