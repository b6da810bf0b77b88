"""`make bench-sizes`: what buyers, events and windows take in a real store, a real Kafka and the archive.

    .venv/bin/python -m bench.sizes [--buyers 100000,1000000]

Fills an empty Valkey by `simpersona backfill` from a history of so many generated buyers (up to 50,000 of
them, copied under new names), then sends the traffic of other buyers to the API's collector, in requests of
100 events and of one, and lets a worker tag them. Memory is Valkey's `used_memory`, sizes in Kafka are those
of its files. `simpersona plan` reckons with the figures of the last size.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
import msgspec
import psutil
import redis

from bench.document import machine, put, table
from bench.memory import BUYERS, copies, watched
from feature_store.log.config import KafkaSettings, librdkafka_config
from feature_store.log.topics import end_offsets
from feature_store.sources.writer import write_events
from ops.stack.local import LocalStack, StackInfo
from ops.stack.processes import free_ports
from ops.traffic import TrafficConfig, generate

OUT: Final = Path(__file__).parent / "results" / "sizes.json"
PAGE: Final = Path(__file__).parents[1] / "docs" / "scale.md"
SEED: Final = 1
_OTHERS: Final = 2_500
_ONES: Final = 1_000
_HUNDREDS: Final = 20_000
_POLL_S: Final = 0.5
_PATIENCE_S: Final = 600.0
_COMMAND: Final = [sys.executable, "-m", "ops.cli.main"]


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """One size: seconds, CPU seconds and bytes, as the names say; per buyer or event, not in all."""

    buyers: int
    events: int
    backfill_seconds: float
    backfill_cpu_s: float
    backfill_rss_mb: int
    state_bytes: float  # of the store, per buyer
    archive_bytes: float  # of the base archive, per event
    live_bytes: float  # of the store, per buyer that a worker tagged: state, persona, open session
    collect_request_cpu_s: float  # of the API, per request
    collect_event_cpu_s: float  # of the API, per event beside
    event_bytes: float  # of Kafka's files, per event of the live traffic, one copy
    assignment_bytes: float  # of Kafka's files, per assignment, one copy
    assignments_per_event: float
    window_bytes: float  # of the store, per window, partition and store


class Worker:
    """A worker on a data folder, and its metrics."""

    def __init__(self) -> None:
        (self._port,) = free_ports(1)
        settings = {
            "SIMPERSONA_METRICS_PORT": str(self._port),
            "OMP_NUM_THREADS": "1",
        }
        self.process = psutil.Popen(
            [*_COMMAND, "worker"], env=os.environ | settings, stderr=subprocess.DEVNULL
        )

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels; 0 while the worker starts."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=5) as reply:
                lines = reply.read().decode().splitlines()
        except OSError:
            return 0.0
        return sum(float(line.split()[-1]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))

    def wait_for(self, name: str, least: float) -> None:
        """Until a metric is there; a worker that has ended ends the bench."""
        while self.metric(name) < least:
            if self.process.poll() is not None:
                raise SystemExit("the worker ended; start `simpersona worker` by hand to see why")
            time.sleep(_POLL_S)


@contextmanager
def worker() -> Iterator[Worker]:
    one = Worker()
    try:
        yield one
    finally:
        one.process.terminate()
        one.process.wait()


def collected(source: Path) -> tuple[float, float]:
    """CPU seconds of the API's one process per request, and per event beside: from requests of 100 events and
    of one."""
    events = [line for line in source.read_bytes().splitlines() if line]
    ones, hundreds = events[:_ONES], events[_ONES : _ONES + _HUNDREDS]
    bodies = [b"[" + b",".join(hundreds[at : at + 100]) + b"]" for at in range(0, len(hundreds), 100)]
    store = msgspec.json.decode(events[0])["store"]
    (port,) = free_ports(1)
    settings = {
        "SIMPERSONA_API_PORT": str(port),
        "SIMPERSONA_API_PROCESSES": "1",
        "SIMPERSONA_ID_KEY": "ab" * 32,
        "SIMPERSONA_API_MAX_EVENT_AGE_DAYS": "100000",
    }
    created = subprocess.run(
        [*_COMMAND, "keys", "create", "--store", store, "--rate", "1000000", "--burst", "1000000", "--json"],
        capture_output=True, check=True, env=os.environ | settings,
    )  # fmt: skip
    key = msgspec.json.decode(created.stdout)["key"]
    with psutil.Popen([*_COMMAND, "api"], env=os.environ | settings, stderr=subprocess.DEVNULL) as process:
        try:
            post(port, key, bodies[:20])
            before = cpu_of(process)
            post(port, key, bodies[20:])
            between = cpu_of(process)
            post(port, key, ones)
            after = cpu_of(process)
        finally:
            process.terminate()
    a_hundred, one = (between - before) / (len(bodies) - 20), (after - between) / len(ones)
    event = (a_hundred - one) / 99
    return one - event, event


def cpu_of(process: psutil.Process) -> float:
    spent = process.cpu_times()
    return float(spent.user + spent.system)


def ready(port: int) -> http.client.HTTPConnection:
    """A connection to a server that may still start."""
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S)
        with suppress(OSError):
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            answer.read()
            if answer.status == http.client.OK:
                return connection
        time.sleep(_POLL_S)
    raise SystemExit("the API is not ready; start `simpersona api` by hand to see why")


def post(port: int, key: str, bodies: Sequence[bytes]) -> None:
    """Each as soon as the one before is answered, on one connection."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection = ready(port)
    for body in bodies:
        connection.request("POST", "/v1/events", body, headers)
        answer = connection.getresponse()
        if answer.status != http.client.ACCEPTED:
            raise SystemExit(f"answered {answer.status}: {answer.read()[:300]!r}")
        answer.read()


def log_bytes(home: Path, topic: str) -> int:
    """Of all segments of a topic, on the one broker."""
    return sum(
        file.stat().st_size
        for file in home.rglob("*.log")
        if file.parent.name.rpartition("-")[0] == topic and file.name.removesuffix(".log").isdigit()
    )


def records(topic: str) -> int:
    return sum(end_offsets(librdkafka_config(KafkaSettings()), topic, range(8)).values())


def measure(folder: Path, buyers: int, other: Path) -> Filled:
    home, base, source = folder / f"home-{buyers}", folder / "base.parquet", folder / "history.parquet"
    count = max(1, buyers // BUYERS)
    buyers = buyers // count * count
    write_events(base, generate(TrafficConfig(buyers=buyers // count, stores=4), SEED))
    events = copies(base, count, source)
    with LocalStack(home, owned=True) as stack:
        info = stack.up()
        os.environ |= info.environment()
        found = _filled(home, info, source, buyers, events, other)
    return msgspec.convert(found, Filled)


def _filled(
    home: Path, info: StackInfo, source: Path, buyers: int, events: int, other: Path
) -> dict[str, Any]:
    store: Any = redis.Redis.from_url(info.redis_url)

    def used() -> int:
        return int(store.info("memory")["used_memory"])

    os.environ["SIMPERSONA_HOME"] = str(home)
    empty = used()
    most, seconds, cpu = watched([*_COMMAND, "backfill", str(source)])
    loaded = used()
    archived = sum(file.stat().st_size for file in (home / "archive").rglob("*.parquet"))
    with worker() as one:
        per_request, per_event = collected(other)
        sent = records("clickstream")
        one.wait_for("simpersona_events_total", sent)
        one.wait_for("simpersona_checkpoint_rows_total", 1)
    answered = records("persona-assignments")
    windows = [
        (store.memory_usage(key), store.hlen(key)) for key in store.scan_iter(match="*:window:*", count=1000)
    ]
    counted = sum(size for size, _ in windows)
    tagged = sum(1 for _ in store.scan_iter(match="*:persona:*", count=1000))
    return {
        "buyers": buyers,
        "events": events,
        "backfill_seconds": seconds,
        "backfill_cpu_s": cpu,
        "backfill_rss_mb": most["VmHWM"],
        "state_bytes": (loaded - empty) / buyers,
        "archive_bytes": archived / events,
        "live_bytes": (used() - loaded - counted) / tagged,
        "event_bytes": log_bytes(home, "clickstream") / sent,
        "assignment_bytes": log_bytes(home, "persona-assignments") / answered,
        "assignments_per_event": answered / sent,
        "window_bytes": counted / sum(fields for _, fields in windows),
        "collect_request_cpu_s": per_request,
        "collect_event_cpu_s": per_event,
    }


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run."""

    date: str
    command: str
    machine: dict[str, str]
    seed: int
    sizes: list[Filled]


def page(report: Report) -> str:
    """The figures as a table of Markdown, a column per size."""
    lines: tuple[tuple[str, Callable[[Filled], str]], ...] = (
        ("buyers backfilled", lambda it: f"{it.buyers:,}"),
        ("their events", lambda it: f"{it.events:,}"),
        ("store, bytes per backfilled buyer", lambda it: f"{it.state_bytes:,.0f}"),
        ("store, bytes per buyer with a persona", lambda it: f"{it.live_bytes:,.0f}"),
        ("store, bytes per window, partition and shop", lambda it: f"{it.window_bytes:,.0f}"),
        ("Kafka, bytes per event", lambda it: f"{it.event_bytes:,.0f}"),
        ("Kafka, bytes per assignment", lambda it: f"{it.assignment_bytes:,.0f}"),
        ("archive, bytes per event", lambda it: f"{it.archive_bytes:,.1f}"),
        ("backfill, s of CPU, its start with it", lambda it: f"{it.backfill_cpu_s:,.1f}"),
        ("backfill, peak memory MB", lambda it: f"{it.backfill_rss_mb:,}"),
        ("collector, us of CPU per request", lambda it: f"{1e6 * it.collect_request_cpu_s:,.0f}"),
        ("collector, us of CPU per event beside", lambda it: f"{1e6 * it.collect_event_cpu_s:,.1f}"),
    )
    header = ["what", *["" for _ in report.sizes]]
    rows = [[name, *map(cell, report.sizes)] for name, cell in lines]
    return (
        f"{table(header, rows)}\n\n`{report.command}`, {report.date}; {', '.join(report.machine.values())}."
    )


@click.command()
@click.option("--buyers", default="100000", show_default=True, help="How many, with commas.")
def main(buyers: str) -> None:
    """Measure each size; write bench/results/sizes.json and the table of docs/scale.md."""
    found = []
    with tempfile.TemporaryDirectory(prefix="simpersona-sizes-") as name:
        folder = Path(name)
        other = folder / "other.ndjson"
        write_events(other, generate(TrafficConfig(buyers=_OTHERS, stores=1), SEED + 1))
        for size in (int(text) for text in buyers.split(",")):
            found.append(measure(folder, size, other))
            print(msgspec.json.encode(found[-1]).decode(), flush=True)
    report = Report(
        date=datetime.now(UTC).date().isoformat(),
        command=f"make bench-sizes ARGS='--buyers {buyers}'",
        machine=machine(),
        seed=SEED,
        sizes=found,
    )
    OUT.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    put(PAGE, "<!-- sizes: made by `make bench-sizes` -->", "<!-- sizes: end -->", page(report))


if __name__ == "__main__":
    main()
