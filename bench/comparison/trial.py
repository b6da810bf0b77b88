"""One trial: a peer alone on the machine, from start to clean stop."""

from __future__ import annotations

import os
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import psutil
import redis
from confluent_kafka import Message

from bench.comparison.errors import TrialError
from bench.comparison.peers import ROOT, Peer
from bench.comparison.watch import Meter, event_to_tag_ms, read_assignment, tail
from bench.comparison.workload import Workload, make_topic, mark, run
from ops.replay.events import Rate
from ops.stack.local import LocalStack, StackInfo

_START_S: Final = 90.0  # imports, compiling, joining a group
_STOP_S: Final = 30.0
_LOG_LINES: Final = 15
_MARK_EVERY_S: Final = 3.0
_QUIET_POLLS: Final = 10


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A run through a filled topic, from the first assignment written to the last partition's finish.

    cpu_s: of the peer's processes; server_cpu_s: of Kafka and Valkey meanwhile. assignments: without
    session ends, which only ours says.
    """

    events: int
    seconds: float
    cpu_s: float
    server_cpu_s: float
    peak_rss_bytes: int
    assignments: int


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Event-to-tag at a steady rate, ms."""

    rate: float
    p50_ms: float
    p99_ms: float
    assignments: int


@dataclass(frozen=True)
class Track:
    """Where trials are run: the servers, who may use which core, where logs and state go."""

    stack: LocalStack
    info: StackInfo
    folder: Path
    cores: frozenset[int] | None
    """Cores of the peer; None leaves it unpinned."""

    @property
    def kafka(self) -> dict[str, Any]:
        """Connection settings of confluent-kafka."""
        return self.stack.kafka.client_config()


@dataclass(frozen=True)
class _Running:
    process: subprocess.Popen[bytes]
    log: Path
    output: str

    def check(self, started: float, limit_s: float) -> None:
        if self.process.poll() is not None:
            raise TrialError(f"it ended with status {self.process.returncode}; {self._last_words()}")
        if time.monotonic() - started > limit_s:
            raise TrialError(f"it was not through after {limit_s:.0f} s; {self._last_words()}")

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").rstrip().splitlines()[-_LOG_LINES:]
        return f"the end of {self.log}:" + "".join(f"\n  | {line[:200]}" for line in lines)


def trial(track: Track, peer: Peer, python: Path, workload: Workload, limit_s: float) -> Trial:
    """Let a peer fold a filled topic as fast as it can.

    Raises:
        TrialError: it ended, or was not through after `limit_s`.
    """
    with _contestant(track, peer, python, workload.topic) as running:
        own = Meter([psutil.Process(running.process.pid)])
        servers = Meter([psutil.Process(pid) for pid in track.info.pids.values()])
        used: tuple[float, float] | None = None
        first = last = 0
        assignments: list[Message] = []
        waiting, began = set(workload.finish), time.monotonic()
        with closing(tail(track.kafka, running.output)) as written:
            for messages in written:
                running.check(began, limit_s + (_START_S if not assignments else 0.0))
                now_used = (own.sample(), servers.sample())
                if messages and used is None:
                    used, first = now_used, min(message.timestamp()[1] for message in messages)
                assignments += messages
                for message in messages:
                    if message.key() in waiting:
                        waiting.remove(message.key())
                        last = max(last, message.timestamp()[1])
                if not waiting:
                    break
            usage = now_used
            for messages in islice(written, _QUIET_POLLS):  # the records of one batch are in no order
                assignments += messages
        _check_codes(workload, assignments)
        assert used is not None
        return Trial(
            events=workload.events,
            seconds=(last - first) / 1000,
            cpu_s=usage[0] - used[0],
            server_cpu_s=usage[1] - used[1],
            peak_rss_bytes=own.peak_rss,
            assignments=sum(
                read_assignment(message.value()).reason != "session_end" for message in assignments
            ),
        )


def _check_codes(workload: Workload, assignments: list[Message]) -> None:
    """A fast peer must also be right: each buyer is assigned a code, and the last is that of the state that
    it names. Ours does not send every change of a code (docs/adr/0056)."""
    last = {message.key(): read_assignment(message.value()) for message in assignments}
    wrong = sum(
        key not in last or last[key].code != codes[last[key].events - 1]
        for key, codes in workload.codes.items()
    )
    if wrong:
        raise TrialError(
            f"the last code assigned is wrong or missing for {wrong} of {len(workload.codes)} buyers"
        )


def latency(track: Track, peer: Peer, python: Path, rate: float, seconds: float, seed: int) -> Latency:
    """Let a peer follow live traffic at a steady rate; the first quarter is to warm up.

    Raises:
        TrialError: it ended, or was not through soon after the traffic.
    """
    topic = make_topic(track.kafka, f"live-{peer.name}-{uuid.uuid4().hex[:6]}")
    with (
        _contestant(track, peer, python, topic) as running,
        closing(tail(track.kafka, running.output)) as written,
    ):
        _await_start(track, running, topic, written)
        since_ms = int((time.time() + seconds / 4) * 1000)
        count = int(rate * seconds)
        sender = threading.Thread(target=run, args=(track.kafka, topic, count, seed, Rate(rate)))
        began = time.monotonic()
        sender.start()
        assignments: list[Message] = []
        finish: frozenset[bytes] = frozenset()
        missing: set[bytes] = set()
        for messages in written:
            running.check(began, 3 * seconds + _START_S)
            assignments += messages
            if not finish and not sender.is_alive():
                finish = mark(track.kafka, topic, f"finish-{topic}")
                missing = set(finish)
            if finish:
                missing -= {message.key() for message in assignments[-len(messages) :]} if messages else set()
                if not missing:
                    break
    assignments = [message for message in assignments if message.key() not in finish]
    waits = event_to_tag_ms(assignments, track.kafka, topic, since_ms)
    p50, p99 = np.percentile(waits, [50, 99]).tolist()
    return Latency(rate=rate, p50_ms=p50, p99_ms=p99, assignments=len(waits))


def _await_start(track: Track, running: _Running, topic: str, written: Iterator[list[Message]]) -> None:
    """Send marks until every partition of the newest set is answered: joined, loaded, compiled."""
    began, sent_at, waiting, number = time.monotonic(), 0.0, set[bytes](), 0
    for messages in written:
        running.check(began, _START_S)
        waiting -= {message.key() for message in messages}
        if number and not waiting:
            return
        if time.monotonic() - sent_at > _MARK_EVERY_S:
            waiting = set(mark(track.kafka, topic, f"start-{topic}-{number}"))
            sent_at, number = time.monotonic(), number + 1


@contextmanager
def _contestant(track: Track, peer: Peer, python: Path, topic: str) -> Iterator[_Running]:
    """Start a peer on a topic with an empty store, an output topic and a state folder of its own."""
    name = f"{peer.name}-{uuid.uuid4().hex[:6]}"
    output = make_topic(track.kafka, f"assignments-{name}", message_timestamp_type="LogAppendTime")
    with redis.Redis.from_url(track.info.redis_url) as store:
        store.flushall()
    folder = track.folder / name
    folder.mkdir()
    log = folder / "log"
    with log.open("wb") as sink, _on(track.cores):
        process = subprocess.Popen(
            [str(python), *peer.command],
            env=_environment(track, topic, output, name, folder) | dict(peer.environment),
            cwd=folder,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield _Running(process, log, output)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()


@contextmanager
def _on(cores: frozenset[int] | None) -> Iterator[None]:
    """Start processes on these cores: a child has the affinity of the thread that forked it."""
    if cores is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _environment(track: Track, topic: str, output: str, name: str, folder: Path) -> dict[str, str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("SIMPERSONA_")}
    comparison = {
        "PYTHONPATH": str(ROOT),
        "RACE_BOOTSTRAP_SERVERS": track.info.bootstrap_servers,
        "RACE_STORE_URL": track.info.redis_url,
        "RACE_INPUT": topic,
        "RACE_OUTPUT": output,
        "RACE_GROUP": name,
        "RACE_FOLDER": str(folder),
    }
    ours = {
        **track.info.environment(),
        "SIMPERSONA_TOPIC": topic,
        "SIMPERSONA_ASSIGNMENTS_TOPIC": output,
        "SIMPERSONA_GROUP": name,
        "SIMPERSONA_HOME": str(folder),
    }
    return inherited | comparison | ours
