"""Persona reads per second, with one client and with many, beside a worker under load.

    .venv/bin/python -m bench.api [--seconds N] [--seed N]

One API process, one worker, Kafka and Valkey, the producer of events and the clients share the machine.
Beside the read of a persona (key, rate bucket, two rows, JSON) stand two floors, measured in the same minute
by the same clients: GET /healthz (HTTP and framework alone) and one GET of the persona's row from Valkey
(no HTTP at all). A whole run writes bench/results/api.json and its table in docs/benchmarks.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import multiprocessing
import random
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
import msgspec
import psutil

from bench.comparison.errors import LoadError
from bench.comparison.peers import ROOT
from bench.comparison.workload import PARTITIONS, run, traffic
from bench.document import machine, put, table
from bench.load import Client, Load, get, http, load, valkey
from feature_store.contract.events import record_key
from feature_store.contract.partitions import partition_of
from feature_store.errors import SimpersonaError
from feature_store.log.topics import end_offsets
from feature_store.online.client import open_store
from feature_store.online.rows import OnlineRows
from inference.api.access.keys import ALL_STORES, KeyStore, Scope
from ops.demo.api import DemoApi
from ops.demo.worker import DemoWorker
from ops.replay.events import AsFastAsPossible, Rate
from ops.stack.local import LocalStack, StackInfo

RESULTS: Final = ROOT / "bench" / "results" / "api.json"
DOCUMENT: Final = ROOT / "docs" / "benchmarks.md"
BEGIN: Final = "<!-- api: made by `python -m bench.api` -->"
END: Final = "<!-- api: end -->"
RATES: Final = (1_000, 5_000)
CLIENTS: Final = (1, 8, 32)
_TOPIC: Final = "clickstream"
_BUYERS: Final = 2_000
"""Different shoppers that are asked for, in a random order."""
_KNOWN_S: Final = 90.0
_LONGEST_S: Final = 600
_HEALTHZ: Final = get("/healthz", "none")
HEADER: Final = (
    "events/s",
    "clients",
    "persona reads/s",
    "p50 ms",
    "p99 ms",
    "CPU ms per read",
    "/healthz per second",
    "CPU ms",
    "reads/s of it",
    "Valkey GETs per second",
    "reads/s of it",
    "worker behind, ms",
)


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """A load, and the CPU time of the API's process per request (its reading of assignments included)."""

    load: Load
    cpu_ms: float


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One row. behind_ms: how many ms of traffic the worker had not folded when the persona reads ended."""

    rate: int
    persona: Served
    healthz: Served
    valkey: Load
    behind_ms: float


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run. others: share of the machine's CPU time that processes not of this run used meanwhile."""

    date: str
    command: str
    machine: dict[str, str]
    seed: int
    others: float
    cells: list[Cell]


class Bench:
    """The servers of a run, and requests of buyers that are known."""

    def __init__(self, info: StackInfo, kafka: dict[str, Any], api: DemoApi, seed: int) -> None:
        self._info, self._kafka, self._api, self._seed = info, kafka, api, seed
        self._rows = OnlineRows(info.redis_url, _TOPIC)
        buyers, events = _buyers(seed)
        run(kafka, _TOPIC, events, seed, AsFastAsPossible())
        key = asyncio.run(_make_key(info.redis_url))
        personas = [get(f"/v1/stores/{s}/buyers/{b}/persona?pseudonym=true", key) for s, b in buyers]
        self._requests = {"persona": itertools.cycle(personas), "healthz": itertools.repeat(_HEALTHZ)}
        self._stored = [_stored(record_key(store, buyer)) for store, buyer in buyers]

    def cells(self, rate: int, clients: Sequence[int], seconds: float) -> Iterator[Cell]:
        """Every number of clients beside this traffic."""
        with self._traffic(rate):
            self._await_known()
            for count in clients:
                persona = self._load("persona", count, seconds)
                behind_ms = 1000 * self._behind() / rate
                healthz = self._load("healthz", count, seconds)
                store = asyncio.run(load(lambda: valkey(self._info.redis_url, self._stored), count, seconds))
                yield Cell(rate=rate, persona=persona, healthz=healthz, valkey=store, behind_ms=behind_ms)

    def _load(self, what: str, clients: int, seconds: float) -> Served:
        before = self._cpu_s()
        done = asyncio.run(load(lambda: self._client(what), clients, seconds))
        return Served(load=done, cpu_ms=1000 * (self._cpu_s() - before) / done.asked)

    def _cpu_s(self) -> float:
        process = self._api.process
        assert process is not None, f"the API ended: {self._api.log}"
        spent = process.cpu_times()
        return float(spent.user + spent.system)

    def _client(self, what: str) -> Client:
        return http(self._api.port, self._requests[what])

    @contextmanager
    def _traffic(self, rate: int) -> Iterator[None]:
        """Events at a rate, of another process: this one's clients must not wait for it."""
        spawning = multiprocessing.get_context("spawn")
        arguments = (self._kafka, _TOPIC, rate * _LONGEST_S, self._seed + rate, Rate(rate))
        sender = spawning.Process(target=run, args=arguments, daemon=True)
        sender.start()
        try:
            yield
        finally:
            sender.kill()
            sender.join()

    def _await_known(self) -> None:
        """Until the worker keeps up and each of the buyers has a persona."""
        deadline = time.monotonic() + _KNOWN_S
        while time.monotonic() < deadline:
            known = asyncio.run(self._known())
            if known == len(self._stored):
                return
            time.sleep(0.5)
        raise LoadError(f"only {known} of {len(self._stored)} buyers have a persona after {_KNOWN_S:g} s")

    async def _known(self) -> int:
        known = 0
        async with self._client("persona") as ask:
            for _ in self._stored:
                with contextlib.suppress(LoadError):
                    await ask()
                    known += 1
        return known

    def _behind(self) -> int:
        ends = end_offsets(self._kafka, _TOPIC, range(PARTITIONS))
        folded = self._rows.progress_of(range(PARTITIONS))
        return sum(end - (p.next_offset if (p := folded[n]) else 0) for n, end in ends.items())

    def close(self) -> None:
        """Close its client of the store."""
        self._rows.close()


def _buyers(seed: int) -> tuple[list[tuple[str, str]], int]:
    """(store, pseudonym) of the first buyers of some traffic, shuffled, and how many events name them."""
    found: dict[tuple[str, str], None] = {}
    events = 0
    for batch in traffic(1_000_000, seed):
        events += len(batch)
        found |= dict.fromkeys((event.store, event.buyer) for event in batch)
        if len(found) >= _BUYERS:
            break
    return random.Random(seed).sample(list(found), _BUYERS), events


def _stored(key: bytes) -> bytes:
    """Where the online store keeps a buyer's persona."""
    return f"{{{_TOPIC}:{partition_of(key, PARTITIONS)}}}:persona:".encode() + key


async def _make_key(store_url: str) -> str:
    client = open_store(store_url)
    try:
        made = await KeyStore(client).create(ALL_STORES, [Scope.PERSONAS_READ], rate=1e9, burst=1e9)
    finally:
        await client.aclose()
    return made.token


class Others:
    """CPU time of the machine less that of this process and its children."""

    def __init__(self) -> None:
        self._began, self._start = time.monotonic(), self._seconds()

    def share(self) -> float:
        """Of the machine's CPU time since the beginning."""
        spent = (time.monotonic() - self._began) * (psutil.cpu_count() or 1)
        return max(0.0, self._seconds() - self._start) / spent

    def _seconds(self) -> float:
        times = psutil.cpu_times()
        busy = sum(times) - times.idle - times.iowait - getattr(times, "guest", 0.0)
        return float(busy - self._ours())

    def _ours(self) -> float:
        ours = 0.0
        own = psutil.Process()
        for process in (own, *own.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                spent = process.cpu_times()
                ours += spent.user + spent.system
                if process == own:  # and of those that ended
                    ours += spent.children_user + spent.children_system
        return ours


def measure(rates: Sequence[int], clients: Sequence[int], seconds: float, seed: int) -> Result:
    """A whole run, on servers of its own."""
    folder = Path(tempfile.mkdtemp(prefix="simpersona-bench-api-"))
    cells = []
    worker = DemoWorker(folder)
    with LocalStack(folder, owned=True) as stack:
        info = stack.up()
        api = DemoApi(folder, info)
        try:
            worker.start()
            api.start()
            bench, others = Bench(info, stack.kafka.client_config(), api, seed), Others()
            for rate in rates:
                for cell in bench.cells(rate, clients, seconds):
                    cells.append(cell)
                    click.echo(f"== {_as_line(cell)}", err=True)
            share = others.share()
            bench.close()
        finally:
            api.stop()
            worker.stop()
    shutil.rmtree(folder)
    return Result(
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        command="python -m bench.api",
        machine=machine(),
        seed=seed,
        others=share,
        cells=cells,
    )


def _as_line(cell: Cell) -> str:
    return ", ".join(f"{name} {value}" for name, value in zip(HEADER, _row(cell), strict=True))


def _row(cell: Cell) -> tuple[str, ...]:
    persona, healthz, store = cell.persona.load, cell.healthz.load, cell.valkey
    return (
        f"{cell.rate:,}",
        f"{persona.clients}",
        f"{persona.per_s:,.0f}",
        f"{persona.p50_ms:.2f}",
        f"{persona.p99_ms:.2f}",
        f"{cell.persona.cpu_ms:.2f}",
        f"{healthz.per_s:,.0f}",
        f"{cell.healthz.cpu_ms:.2f}",
        f"{persona.per_s / healthz.per_s:.0%}",
        f"{store.per_s:,.0f}",
        f"{persona.per_s / store.per_s:.0%}",
        f"{cell.behind_ms:,.0f}",
    )


def markdown(result: Result) -> str:
    """The table and where it was measured."""
    rows = [_row(cell) for cell in result.cells]
    seconds = f"{result.cells[0].persona.load.seconds:g} s a figure"
    about = f"`{result.command}`, {result.date}; {seconds}; seed {result.seed}."
    others = f"Other programs used {result.others:.0%} of the machine's CPU time meanwhile."
    return f"{table(HEADER, rows)}\n\n{about} {', '.join(result.machine.values())}. {others}"


@click.command()
@click.option("--seconds", default=4.0, show_default=True, help="How long each figure is measured.")
@click.option("--seed", default=7, show_default=True, help="Seed of the generated traffic.")
def main(seconds: float, seed: int) -> None:
    """Measure, print the table, and write it to docs/benchmarks.md and bench/results/api.json."""
    try:
        result = measure(RATES, CLIENTS, seconds, seed)
    except SimpersonaError as error:
        raise click.ClickException(str(error)) from error
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    put(DOCUMENT, BEGIN, END, markdown(result))
    click.echo(markdown(result))


if __name__ == "__main__":
    main()
