"""Persona reads per second, before and now, beside a worker under load and alone.

    .venv/bin/python -m bench.api [--before CHECKOUT] [--seconds N] [--seed N]

One API process, one worker, Kafka and Valkey, the producer of events and the clients share the machine. Each
figure is measured closed-loop (each client asks again as soon as it is answered) and then open-loop, at half
of what the closed loop reached. --before measures the API of another checkout of this project, too, on the
same servers, in turn. Beside the read of a persona stand two floors, measured in the same minute by the same
clients: GET /healthz (HTTP and framework alone) and one GET of the row from Valkey (no HTTP at all).
A whole run writes bench/results/api.json and its table in docs/benchmarks.md.
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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from bench.comparison.errors import LoadError
from bench.comparison.peers import ROOT
from bench.comparison.workload import PARTITIONS, run, traffic
from bench.document import machine, put, table
from bench.others import Others
from bench.requests.load import Client, Load, get, http, load, paced, valkey
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
HEADER: Final = (
    "events/s",
    "clients",
    "API",
    "CPU ms per read",
    "persona reads/s",
    "p50 ms",
    "p99 ms",
    "at reads/s",
    "p50 ms",
    "p99 ms",
    "/healthz per second",
    "CPU ms",
    "Valkey GETs per second",
    "worker behind, ms",
)


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """A load, and the CPU time of the API's process per request (its reading of assignments included)."""

    load: Load
    cpu_ms: float


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One row. half: open-loop, at half of what persona reached, so at half_per_s. behind_ms: how many ms of
    traffic the worker had not folded when the persona reads ended."""

    rate: int
    api: str
    persona: Served
    half: Load
    half_per_s: float
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


class MeasuredApi(DemoApi):
    """The API of a checkout."""

    def __init__(self, checkout: Path, folder: Path, info: StackInfo) -> None:
        super().__init__(folder, info)
        self._checkout = checkout
        self.folder = folder / f"api-{checkout.resolve().as_posix().replace('/', '-')}"

    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        """Python finds the checkout's modules before the installed ones."""
        (python, *rest), variables = super().command()
        return [python, "-P", *rest], {**variables, "PYTHONPATH": str(self._checkout)}


class Bench:
    """The servers of a run, and requests of buyers that are known. apis: by the name of their rows."""

    def __init__(
        self, info: StackInfo, kafka: dict[str, Any], apis: Mapping[str, DemoApi], seed: int
    ) -> None:
        self._info, self._kafka, self._apis, self._seed = info, kafka, apis, seed
        self._api = next(iter(apis.values()))
        self._rows = OnlineRows(info.redis_url, _TOPIC)
        buyers, events = _buyers(seed)
        run(kafka, _TOPIC, events, seed, AsFastAsPossible())
        key = asyncio.run(_make_key(info))
        personas = [get(f"/v1/stores/{s}/buyers/{b}/persona?pseudonym=true", key) for s, b in buyers]
        self._requests = {"persona": itertools.cycle(personas), "healthz": itertools.repeat(_HEALTHZ)}
        self._stored = [_stored(record_key(store, buyer)) for store, buyer in buyers]

    def cells(self, rate: int, clients: Sequence[int], seconds: float) -> Iterator[Cell]:
        """Every number of clients and every API beside this traffic."""
        with self._traffic(rate):
            self._await_known()
            for count in clients:
                for name, api in self._apis.items():
                    self._api = api
                    yield self._cell(rate, count, name, seconds)

    def _cell(self, rate: int, clients: int, name: str, seconds: float) -> Cell:
        persona = self._load("persona", clients, seconds)
        behind_ms = 1000 * self._behind() / rate if rate else 0.0
        half_per_s = persona.load.per_s / 2
        half = asyncio.run(paced(lambda: self._client("persona"), clients, half_per_s, seconds))
        healthz = self._load("healthz", clients, seconds / 2)
        store = asyncio.run(load(lambda: valkey(self._info.redis_url, self._stored), clients, seconds / 2))
        return Cell(
            rate=rate,
            api=name,
            persona=persona,
            half=half,
            half_per_s=half_per_s,
            healthz=healthz,
            valkey=store,
            behind_ms=behind_ms,
        )

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


async def _make_key(info: StackInfo) -> str:
    client = open_store(info.redis_url)
    try:
        made = await key_register(info, client).create(ALL_STORES, [Scope.PERSONAS_READ], rate=1e9, burst=1e9)
    finally:
        await client.aclose()
    return made.token


def measure(
    rates: Sequence[int], clients: Sequence[int], seconds: float, seed: int, before: Path | None = None
) -> Result:
    """A whole run, on servers of its own."""
    folder = Path(tempfile.mkdtemp(prefix="simpersona-bench-api-"))
    cells = []
    worker = DemoWorker(folder)
    checkouts = {"now": ROOT} if before is None else {"before": before, "now": ROOT}
    with LocalStack(folder, owned=True) as stack:
        info = stack.up()
        apis = {name: MeasuredApi(checkout, folder, info) for name, checkout in checkouts.items()}
        try:
            worker.start()
            for api in apis.values():
                api.start()
            bench, others = Bench(info, stack.kafka.client_config(), apis, seed), Others()
            for rate in rates:
                for cell in bench.cells(rate, clients, seconds):
                    cells.append(cell)
                    click.echo(f"== {_as_line(cell)}", err=True)
            share = others.share()
            bench.close()
        finally:
            for api in apis.values():
                api.stop()
            worker.stop()
    shutil.rmtree(folder)
    return Result(
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        command="python -m bench.api" + (" --before CHECKOUT" if before else ""),
        machine=machine(),
        seed=seed,
        others=share,
        cells=cells,
    )


def _as_line(cell: Cell) -> str:
    return ", ".join(f"{name} {value}" for name, value in zip(HEADER, _row(cell), strict=True))


def _row(cell: Cell) -> tuple[str, ...]:
    persona = cell.persona.load
    return (
        f"{cell.rate:,}",
        f"{persona.clients}",
        cell.api,
        f"{cell.persona.cpu_ms:.2f}",
        f"{persona.per_s:,.0f}",
        f"{persona.p50_ms:.2f}",
        f"{persona.p99_ms:.2f}",
        f"{cell.half_per_s:,.0f}",
        f"{cell.half.p50_ms:.2f}",
        f"{cell.half.p99_ms:.2f}",
        f"{cell.healthz.load.per_s:,.0f}",
        f"{cell.healthz.cpu_ms:.2f}",
        f"{cell.valkey.per_s:,.0f}",
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
