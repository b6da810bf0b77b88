"""A process that has imported the live path and forks commands of ours: python -m tests.forking SOCKET

What starts so is a process as any other, but for the five seconds of a core that its imports take. SOCKET is
the number of an open socket, whose messages are orders (tests/forks.py) with the pipe to report to.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from importlib import import_module
from typing import Any

from ops.cli.main import main

IMPORTED = ("streams.app", "inference.api.server", "ops.api", "ops.cli.live.worker", "ops.cli.live.api")
MOST_BYTES = 1 << 20


def serve(orders: socket.socket) -> dict[str, Any] | None:
    """Fork for each order. Returns in each command's process, with its order, and at the end with None."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those who keep a command are not waited for
    while True:
        message, pipes, _, _ = socket.recv_fds(orders, MOST_BYTES, 1)
        if not message:
            return None
        if os.fork() == 0:
            orders.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return _kept(json.loads(message), pipes[0])
        os.close(pipes[0])


def _kept(order: dict[str, Any], report: int) -> dict[str, Any]:
    """Fork once more: the command goes on with its order, and this process reports its pid and its status."""
    pid = os.fork()
    if pid == 0:
        os.close(report)
        return order
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.write(report, f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    os.write(report, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def become(order: dict[str, Any]) -> None:
    """Take on what a new process is given: arguments, environment, and where it writes to."""
    sys.argv = ["simpersona", *order["arguments"]]
    os.environ.clear()
    os.environ.update(order["environment"])
    if order["log"] is not None:
        log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)


if __name__ == "__main__":
    for name in IMPORTED:
        import_module(name)
    with socket.socket(fileno=int(sys.argv[1])) as socket_of_orders:
        ordered = serve(socket_of_orders)
    if ordered is not None:
        become(ordered)
        main()
