"""Persona reads per second: now, before, and by Feast's own server; beside a worker under load, and alone.

    .venv/bin/python -m bench.api [--before CHECKOUT] [--seconds N] [--seed N]

One process of each server, one worker, Kafka and Valkey, the producer of events and the clients share the
machine. Each figure is measured closed-loop (each client asks again as soon as it is answered) and then
open-loop, at half of what the closed loop reached. The servers take turns, in rounds, so that what else the
machine does meets all of them; the CPU time of a read and the ratios say more than the rates. --before
measures the API of another checkout of this project, too, on rows that a worker of it made. Beside them stand
two floors: GET /healthz (HTTP and framework alone) and one GET of the row from Valkey (no HTTP at all).
A run writes bench/results/api.json and its table in docs/benchmarks.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import multiprocessing
import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from bench.comparison.errors import LoadError
from bench.comparison.peers import ROOT
from bench.comparison.workload import PARTITIONS, run, traffic
from bench.document import machine, put, table
from bench.others import Others
from bench.requests.earlier import TOPIC as EARLIER_TOPIC
from bench.requests.earlier import EarlierApi
from bench.requests.feast_server import FeastServer, persona_request
from bench.requests.load import Client, Load, get, http, load, paced, together, valkey
from feature_store.contract.events import record_key
from feature_store.contract.partitions import partition_of
from feature_store.errors import SimpersonaError
from feature_store.log.topics import end_offsets
from feature_store.online.client import open_store
from feature_store.online.rows import OnlineRows
from inference.api.access.keys import ALL_STORES, Scope
from ops.demo.api import DemoApi, key_register
from ops.demo.worker import DemoWorker
from ops.replay.events import AsFastAsPossible, Rate
from ops.stack.local import LocalStack, StackInfo
from ops.stack.processes import Server

RESULTS: Final = ROOT / "bench" / "results" / "api.json"
DOCUMENT: Final = ROOT / "docs" / "benchmarks.md"
BEGIN: Final = "<!-- api: made by `python -m bench.api` -->"
END: Final = "<!-- api: end -->"
RATES: Final = (0, 5_000)
"""Events per second beside the reads; 0: none."""
CLIENTS: Final = (1, 32)
_TOPIC: Final = "clickstream"
_BUYERS: Final = 2_000
"""Different shoppers that are asked for, in a random order."""
_KNOWN_S: Final = 90.0
_LONGEST_S: Final = 600
_HEALTHZ: Final = get("/healthz", "none")
_ROUNDS: Final = 3
FEAST: Final = "feast serve"
BEFORE: Final = "before"
HEADER: Final = (
    "events/s",
    "clients",
    "server",
    "CPU ms per read",
    "of ours",
    "reads/s",
    "p50 ms",
    "p99 ms",
    "at reads/s",
    "p50 ms",
    "p99 ms",
)


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """A load, and the CPU time of the server's processes per request (with all else that they do)."""

    load: Load
    cpu_ms: float


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One row. half: open-loop, at half of what persona reached, so at half_per_s."""

    rate: int
    server: str
    persona: Served
    half: Load
    half_per_s: float


class Floor(msgspec.Struct, frozen=True, kw_only=True):
    """What no server can be faster than, beside the same traffic. behind_ms: how many ms of traffic the
    worker had not folded when the reads ended."""

    rate: int
    clients: int
    healthz: Served
    valkey: Load
    behind_ms: float


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run. others: share of the machine's CPU time that processes not of this run used meanwhile.
    load: processes that wanted to run, on average over the last minute of the run."""

    date: str
    command: str
    machine: dict[str, str]
    seed: int
    others: float
    load: float
    cells: list[Cell]
    floors: list[Floor]


class Bench:
    """The servers of a run, and requests of buyers that are known. servers: by the name of their rows."""

    def __init__(
        self, info: StackInfo, kafka: dict[str, Any], servers: Mapping[str, Server], seed: int
    ) -> None:
        self._info, self._kafka, self._servers, self._seed = info, kafka, servers, seed
        self._rows = OnlineRows(info.redis_url, _TOPIC)
        buyers, events = _buyers(seed)
        run(kafka, _TOPIC, events, seed, AsFastAsPossible())
        key = asyncio.run(_make_key(info))
        asked = [get(f"/v1/stores/{s}/buyers/{b}/persona?pseudonym=true", key) for s, b in buyers]
        of_feast = [persona_request(*buyer) for buyer in buyers]
        self._asked = {n: itertools.cycle(of_feast if n == FEAST else asked) for n in servers}
        self._stored = [_stored(record_key(store, buyer)) for store, buyer in buyers]
        earlier = servers.get(BEFORE)
        if isinstance(earlier, EarlierApi):
            run(kafka, EARLIER_TOPIC, events, seed, AsFastAsPossible())
            with earlier.worker():
                self._await_known(BEFORE)

    def measure(
        self, rate: int, clients: Sequence[int], seconds: float, cells: list[Cell], floors: list[Floor]
    ) -> None:
        """Every number of clients on every server beside this traffic."""
        with self._traffic(rate):
            self._await_known("now")
            for count in clients:
                found = self._cells(rate, count, seconds)
                behind_ms = 1000 * self._behind() / rate if rate else 0.0
                cells += found
                floors.append(self._floor(rate, count, seconds / 2, behind_ms))
                for cell in found:
                    click.echo(f"== {_as_line(cell, found)}", err=True)

    def _cells(self, rate: int, clients: int, seconds: float) -> list[Cell]:
        part = seconds / _ROUNDS
        closed: dict[str, list[Served]] = {name: [] for name in self._servers}
        for _ in range(_ROUNDS):
            for name in self._servers:
                closed[name].append(self._load(name, self._asked[name], clients, part))
        reads = {name: _served_together(rounds) for name, rounds in closed.items()}
        half: dict[str, list[Load]] = {name: [] for name in self._servers}
        for _ in range(_ROUNDS):
            for name, read in reads.items():
                client = partial(self._client, name, self._asked[name])
                half[name].append(asyncio.run(paced(client, clients, read.load.per_s / 2, part)))
        return [
            Cell(
                rate=rate,
                server=name,
                persona=read,
                half=together(half[name]),
                half_per_s=read.load.per_s / 2,
            )
            for name, read in reads.items()
        ]

    def _floor(self, rate: int, clients: int, seconds: float, behind_ms: float) -> Floor:
        healthz = self._load("now", itertools.repeat(_HEALTHZ), clients, seconds)
        rows = partial(valkey, self._info.redis_url, self._stored)
        store = asyncio.run(load(rows, clients, seconds))
        return Floor(rate=rate, clients=clients, healthz=healthz, valkey=store, behind_ms=behind_ms)

    def _load(self, name: str, requests: Iterator[bytes], clients: int, seconds: float) -> Served:
        before = self._cpu_s(name)
        done = asyncio.run(load(partial(self._client, name, requests), clients, seconds))
        return Served(load=done, cpu_ms=1000 * (self._cpu_s(name) - before) / done.asked)

    def _cpu_s(self, name: str) -> float:
        """Of the server's process and its children: Feast's server works in a child."""
        process = self._servers[name].process
        assert process is not None, f"the server ended: {self._servers[name].log}"
        times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
        return float(sum(spent.user + spent.system for spent in times))

    def _client(self, name: str, requests: Iterator[bytes]) -> Client:
        return http(self._servers[name].port, requests)

    @contextmanager
    def _traffic(self, rate: int) -> Iterator[None]:
        """Events at a rate, of another process: this one's clients must not wait for it."""
        if not rate:
            yield
            return
        spawning = multiprocessing.get_context("spawn")
        arguments = (self._kafka, _TOPIC, rate * _LONGEST_S, self._seed + rate, Rate(rate))
        sender = spawning.Process(target=run, args=arguments, daemon=True)
        sender.start()
        try:
            yield
        finally:
            sender.kill()
            sender.join()

    def _await_known(self, name: str) -> None:
        """Until the worker keeps up and each of the buyers has a persona."""
        deadline = time.monotonic() + _KNOWN_S
        while time.monotonic() < deadline:
            known = asyncio.run(self._known(name))
            if known == len(self._stored):
                return
            time.sleep(0.5)
        raise LoadError(f"only {known} of {len(self._stored)} buyers have a persona after {_KNOWN_S:g} s")

    async def _known(self, name: str) -> int:
        known = 0
        async with self._client(name, self._asked[name]) as ask:
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


async def _make_key(info: StackInfo) -> str:
    client = open_store(info.redis_url)
    try:
        made = await key_register(info, client).create(ALL_STORES, [Scope.PERSONAS_READ], rate=1e9, burst=1e9)
    finally:
        await client.aclose()
    return made.token


def _served_together(rounds: Sequence[Served]) -> Served:
    whole = together([one.load for one in rounds])
    return Served(load=whole, cpu_ms=sum(one.cpu_ms * one.load.asked for one in rounds) / whole.asked)


def measure(
    rates: Sequence[int], clients: Sequence[int], seconds: float, seed: int, before: Path | None = None
) -> Result:
    """A whole run, on servers of its own."""
    folder = Path(tempfile.mkdtemp(prefix="simpersona-bench-api-"))
    cells, floors = list[Cell](), list[Floor]()
    worker = DemoWorker(folder)
    with LocalStack(folder, owned=True) as stack:
        info = stack.up()
        servers: dict[str, Server] = {"now": DemoApi(folder, info)}
        if before is not None:
            servers[BEFORE] = EarlierApi(before, folder, info, stack.kafka.client_config())
        servers[FEAST] = FeastServer(folder, info.redis_url, _TOPIC)
        try:
            worker.start()
            for server in servers.values():
                server.start()
            bench, others = Bench(info, stack.kafka.client_config(), servers, seed), Others()
            for rate in rates:
                bench.measure(rate, clients, seconds, cells, floors)
            share = others.share()
            bench.close()
        finally:
            for server in servers.values():
                server.stop()
            worker.stop()
    shutil.rmtree(folder)
    return Result(
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        command="python -m bench.api" + (" --before CHECKOUT" if before else ""),
        machine=machine(),
        seed=seed,
        others=share,
        load=os.getloadavg()[0],
        cells=cells,
        floors=floors,
    )


def _as_line(cell: Cell, beside: Sequence[Cell]) -> str:
    return ", ".join(f"{name} {value}" for name, value in zip(HEADER, _row(cell, beside), strict=True))


def _row(cell: Cell, beside: Sequence[Cell]) -> tuple[str, ...]:
    """beside: the cells of the same traffic and clients."""
    persona, (ours,) = cell.persona.load, [one for one in beside if one.server == "now"]
    return (
        f"{cell.rate:,}",
        f"{persona.clients}",
        cell.server,
        f"{cell.persona.cpu_ms:.2f}",
        f"{cell.persona.cpu_ms / ours.persona.cpu_ms:.1f}x",
        f"{persona.per_s:,.0f}",
        f"{persona.p50_ms:.2f}",
        f"{persona.p99_ms:.2f}",
        f"{cell.half_per_s:,.0f}",
        f"{cell.half.p50_ms:.2f}",
        f"{cell.half.p99_ms:.2f}",
    )


_FLOOR_HEADER: Final = (
    "events/s",
    "clients",
    "/healthz per second",
    "CPU ms",
    "Valkey GETs per second",
    "worker behind, ms",
)


def _floor_row(floor: Floor) -> tuple[str, ...]:
    return (
        f"{floor.rate:,}",
        f"{floor.clients}",
        f"{floor.healthz.load.per_s:,.0f}",
        f"{floor.healthz.cpu_ms:.2f}",
        f"{floor.valkey.per_s:,.0f}",
        f"{floor.behind_ms:,.0f}",
    )


def markdown(result: Result) -> str:
    """The tables and where they were measured."""
    rows = []
    for cell in result.cells:
        place = (cell.rate, cell.persona.load.clients)
        rows.append(_row(cell, [c for c in result.cells if (c.rate, c.persona.load.clients) == place]))
    floors = table(_FLOOR_HEADER, map(_floor_row, result.floors))
    seconds = f"{result.cells[0].persona.load.seconds:g} s a figure, in {_ROUNDS} rounds"
    about = f"`{result.command}`, {result.date}; {seconds}; seed {result.seed}."
    others = (
        f"Other programs used {result.others:.0%} of the machine's CPU time meanwhile; load average at the "
        f"end {result.load:.0f}."
    )
    return f"{table(HEADER, rows)}\n\n{floors}\n\n{about} {', '.join(result.machine.values())}. {others}"


@click.command()
@click.option("--seconds", default=4.0, show_default=True, help="How long each figure is measured.")
@click.option("--seed", default=7, show_default=True, help="Seed of the generated traffic.")
@click.option(
    "--before",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Another checkout to measure, too.",
)
def main(seconds: float, seed: int, before: Path | None) -> None:
    """Measure, print the table, and write it to docs/benchmarks.md and bench/results/api.json."""
    try:
        result = measure(RATES, CLIENTS, seconds, seed, before)
    except SimpersonaError as error:
        raise click.ClickException(str(error)) from error
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    put(DOCUMENT, BEGIN, END, markdown(result))
    click.echo(markdown(result))


if __name__ == "__main__":
    main()
