"""One hostile store, one good one: what the good one's requests wait while the other attacks.

    .venv/bin/python -m bench.isolation [--seconds N] [--before CHECKOUT]

One API process on a Kafka and a Valkey of its own; keys at the default rate. The good store asks at a fixed
rate, and each wait counts from when the request was due, so that a stall is seen by every request that it
delays. --before measures the API of another checkout of this project in the same run. Writes
bench/results/isolation.json and its table in docs/benchmarks.md.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
import msgspec
import numpy as np
import psutil

from bench.comparison.errors import LoadError
from bench.comparison.peers import ROOT
from bench.document import machine, put, table
from bench.requests.attacks import ATTACKS, Attack, Target, attacked
from feature_store.contract.events import record_key
from feature_store.errors import SimpersonaError
from feature_store.log.producer import Output
from ops.stack.local import LocalStack, StackInfo
from ops.stack.processes import free_ports

RESULTS: Final = ROOT / "bench" / "results" / "isolation.json"
DOCUMENT: Final = ROOT / "docs" / "benchmarks.md"
BEGIN: Final = "<!-- isolation: made by `python -m bench.isolation` -->"
END: Final = "<!-- isolation: end -->"
HEADER: Final = (
    "attack",
    "timed",
    "API",
    "alone p99 ms",
    "attacked p50 ms",
    "p99 ms",
    "p99 / alone",
    "unanswered",
    "MB after",
)
_RATES: Final = {"persona": 100.0, "distribution": 10.0, "stream": 2.0}
"""Requests per second of the good store."""
_GIVES_UP_S: Final = 20.0
_CONNECTIONS: Final = 32
_ROUNDS: Final = 2
_ASSIGNMENTS: Final = 40_000
_READY_S: Final = 60.0


class Wait(NamedTuple):
    """One request of the good store: seconds from when it was due, and whether it was answered."""

    seconds: float
    answered: bool


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """What the good store's requests waited. unanswered: failed, or given up after 20 s."""

    requests: int
    unanswered: int
    p50_ms: float
    p99_ms: float

    @classmethod
    def of(cls, found: Sequence[Wait]) -> Waits:
        """All of some requests together."""
        p50, p99 = np.percentile([1000 * wait.seconds for wait in found], [50, 99]).tolist()
        unanswered = sum(not wait.answered for wait in found)
        return cls(requests=len(found), unanswered=unanswered, p50_ms=p50, p99_ms=p99)


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One attack on one API. mb_after: resident memory of the API, two seconds after the attack."""

    attack: str
    victim: str
    api: str
    alone: Waits
    attacked: Waits
    mb_after: float


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run."""

    date: str
    command: str
    machine: dict[str, str]
    seconds: float
    cells: list[Cell]


class Api:
    """One API process of a checkout, keys of two stores, and requests of the good one."""

    def __init__(self, checkout: Path, folder: Path, info: StackInfo) -> None:
        (self.port,) = free_ports(1)
        self._checkout, self._log = checkout, folder / "api.log"
        self._environment = {
            **os.environ,
            **info.environment(),
            "SIMPERSONA_HOME": str(folder),
            "SIMPERSONA_ID_KEY": "ab" * 32,
            "SIMPERSONA_API_PORT": str(self.port),
            "SIMPERSONA_API_PROCESSES": "1",
        }
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ops.cli.main", "api"],
                cwd=checkout,
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        self._await_ready()
        self._good = self._new_key("bravo")
        self.target = Target(self.port, self._new_key("acme"), info.pids["kafka"], info.partitions)

    def _await_ready(self) -> None:
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            try:
                if self._ask("/readyz", _GIVES_UP_S)[0] == http.client.OK:
                    return
            except OSError:
                time.sleep(0.2)
        raise LoadError(f"the API of {self._checkout} is not ready; see {self._log}")

    def _new_key(self, store: str) -> str:
        command = [sys.executable, "-m", "ops.cli.main", "keys", "create", "--store", store, "--json"]
        done = subprocess.run(
            command, cwd=self._checkout, env=self._environment, capture_output=True, check=True
        )
        return str(json.loads(done.stdout)["key"])

    def _ask(self, path: str, timeout_s: float, body: bytes | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            named = {"Authorization": f"Bearer {self._good}"} if hasattr(self, "_good") else {}
            connection.request("GET" if body is None else "POST", path, body, named)
            answer = connection.getresponse()
            return answer.status, answer.read(1 << 20) if "/stream" not in path else answer.readline()
        finally:
            connection.close()

    def meet(self, buyer: str) -> None:
        """Let the good store's buyer be known, so that asking for them is answered 200."""
        event = {
            "event_id": uuid.uuid4().hex,
            "buyer": buyer,
            "type": "login",
            "timestamp": time.time_ns() // 1_000_000,
        }
        status, body = self._ask("/v1/events", _GIVES_UP_S, json.dumps(event).encode())
        if status != http.client.ACCEPTED:
            raise LoadError(f"answered {status}: {body[:200]!r}")

    def answered(self, victim: str, timeout_s: float) -> bool:
        """One request of the good store; for a stream, until its first assignment of the past is there."""
        if victim == "stream":
            return self._first_assignment(timeout_s)
        path = {
            "persona": "/v1/stores/bravo/buyers/b/persona",
            "distribution": "/v1/stores/bravo/distribution",
        }
        try:
            return self._ask(path[victim], timeout_s)[0] == http.client.OK
        except (OSError, http.client.HTTPException):
            return False

    def _first_assignment(self, timeout_s: float) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        until = time.monotonic() + timeout_s
        try:
            connection.request(
                "GET", "/v1/stores/bravo/stream?recent=50", headers={"Authorization": f"Bearer {self._good}"}
            )
            answer = connection.getresponse()
            while time.monotonic() < until and (line := answer.readline()):
                if line.startswith(b"event: assignment"):
                    return True
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        return False

    def waits(self, victim: str, seconds: float) -> list[Wait]:
        """Ask at a fixed rate for so long, over so many connections that no answer holds up another."""
        began, rate = time.perf_counter(), _RATES[victim]

        def ask(number: int) -> Wait:
            due = began + number / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            answered = self.answered(victim, _GIVES_UP_S)
            return Wait(time.perf_counter() - due, answered)

        with ThreadPoolExecutor(_CONNECTIONS) as askers:
            return list(askers.map(ask, range(round(seconds * rate))))

    @property
    def resident_mb(self) -> float:
        """Memory of the process."""
        return float(psutil.Process(self._process.pid).memory_info().rss) / 1e6

    def close(self) -> None:
        """Kill it: after an attack it may not end by itself."""
        self._process.kill()
        self._process.wait()


@contextmanager
def _served(checkout: Path) -> Iterator[tuple[Api, StackInfo]]:
    folder = Path(tempfile.mkdtemp(prefix="simpersona-bench-isolation-"))
    with LocalStack(folder, owned=True) as stack:
        info = stack.up()
        _fill(stack.kafka.client_config())
        api = Api(checkout, folder, info)
        try:
            yield api, info
        finally:
            api.close()
    shutil.rmtree(folder)


def _fill(kafka: dict[str, Any]) -> None:
    """Assignments of both stores, as workers would have made them."""
    output = Output(kafka, 60)
    for number in range(_ASSIGNMENTS):
        store, buyer = ("acme", "bravo")[number % 2], f"{number % 500:032x}"
        assignment = {
            "schema_version": 1,
            "store": store,
            "buyer": buyer,
            "code": number % 256,
            "offset": number,
        }
        output.send("persona-assignments", record_key(store, buyer), msgspec.json.encode(assignment))
    output.flush()


def measure(api_name: str, checkout: Path, attacks: tuple[Attack, ...], seconds: float) -> Iterator[Cell]:
    """Every attack on one API: in turn with the good store alone, so that both see the same of what else the
    machine does."""
    with _served(checkout) as (api, _):
        for attack in attacks:
            api.meet("b")
            alone, under = list[Wait](), list[Wait]()
            for _ in range(_ROUNDS):
                alone += api.waits(attack.victim, seconds / _ROUNDS)
                with attacked(attack, api.target):
                    time.sleep(1.0)  # until it runs
                    under += api.waits(attack.victim, seconds / _ROUNDS)
                time.sleep(2.0)
            yield Cell(
                attack=attack.name,
                victim=attack.victim,
                api=api_name,
                alone=Waits.of(alone),
                attacked=Waits.of(under),
                mb_after=api.resident_mb,
            )


def _row(cell: Cell) -> tuple[str, ...]:
    under = cell.attacked
    return (
        cell.attack,
        cell.victim,
        cell.api,
        f"{cell.alone.p99_ms:,.1f}",
        f"{under.p50_ms:,.1f}",
        f"{under.p99_ms:,.1f}",
        f"{under.p99_ms / cell.alone.p99_ms:,.1f}",
        f"{under.unanswered} of {under.requests}",
        f"{cell.mb_after:,.0f}",
    )


def markdown(result: Result) -> str:
    """The table and where it was measured."""
    order = {attack.name: place for place, attack in enumerate(ATTACKS)}
    rows = [
        _row(cell) for cell in sorted(result.cells, key=lambda one: (order[one.attack], one.api == "now"))
    ]
    about = f"`{result.command}`, {result.date}; {result.seconds:g} s per figure."
    return f"{table(HEADER, rows)}\n\n{about} {', '.join(result.machine.values())}."


@click.command()
@click.option("--seconds", default=8.0, show_default=True, help="How long each figure is measured.")
@click.option(
    "--before",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Another checkout to measure, too.",
)
def main(seconds: float, before: Path | None) -> None:
    """Measure, print the table, and write it to docs/benchmarks.md and bench/results/isolation.json."""
    cells = []
    checkouts = {"now": ROOT} if before is None else {"before": before, "now": ROOT}
    try:
        for name, checkout in checkouts.items():
            for cell in measure(name, checkout, ATTACKS, seconds):
                cells.append(cell)
                click.echo(", ".join(f"{h} {v}" for h, v in zip(HEADER, _row(cell), strict=True)), err=True)
    except SimpersonaError as error:
        raise click.ClickException(str(error)) from error
    result = Result(
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        command="python -m bench.isolation" + (" --before CHECKOUT" if before else ""),
        machine=machine(),
        seconds=seconds,
        cells=cells,
    )
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    put(DOCUMENT, BEGIN, END, markdown(result))
    click.echo(markdown(result))


if __name__ == "__main__":
    main()
