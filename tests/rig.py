"""A real Kafka, a real Valkey, real worker processes, and the oracle: what every fault test stands on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient, NewTopic

from feature_store.contract.events import EVENT_TYPES, Event, encode_event, record_key
from feature_store.errors import ProducerError
from feature_store.log.erasures import ErasureLog
from feature_store.log.producer import Output
from feature_store.online.rows import OnlineRows
from inference.api.access.key_log import KeyLog
from inference.bundles.bundle import load_bundle, starter_bundle_path
from inference.counts.windows import WindowSettings
from inference.encoders.onnx import OnnxEncoder
from ops.connection import swapped_encoders
from ops.stack.kafka import Kafka
from ops.stack.valkey_cluster import form_cluster, store_servers, store_url
from ops.verify.installation import Verifier
from ops.verify.report import VerifyReport
from streams.settings import WorkerSettings
from tests.waiting import PATIENCE_S, pace, wait_until

PARTITIONS = 4
SESSION_TIMEOUT_MS = 6_000  # the broker's minimum


class Rig:
    """One topic set and one store of so many nodes; workers come and go."""

    def __init__(self, kafka: Kafka, folder: Path, *, store_nodes: int = 1, **settings: Any) -> None:
        self.kafka, self.folder = kafka, folder
        self.store = store_servers(folder, store_nodes, owned=True)
        self.valkey = self.store[0]
        for server in self.store:
            server.launch()
        for server in self.store:
            server.wait_ready()
        if store_nodes > 1:
            form_cluster(self.store)
        name = f"clicks-{uuid.uuid4().hex[:8]}"
        self.settings = WorkerSettings(
            store_url=store_url(self.store),
            topic=name,
            assignments_topic=f"{name}-assignments",
            dead_letters_topic=f"{name}-dead",
            erasures_topic=f"{name}-erasures",
            control_topic=f"{name}-control",
            keys_topic=f"{name}-keys",
            group=f"{name}-workers",
            session_timeout_ms=SESSION_TIMEOUT_MS,
            checkpoint_ms=200,
            **settings,
        )
        self._make_topics()
        self.workers: list[Worker] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self.sent = 0
        self._random = random.Random(name)
        self.rows = OnlineRows(self.settings.store_url, name)

    def close(self) -> None:
        """Kill what still runs, whatever a test that failed has left."""
        for process in self._processes:
            process.kill()
            process.wait(30)
        self.rows.close()
        for server in self.store:
            server.kill()

    def worker(self, *, environment: dict[str, str] | None = None, **settings: Any) -> Worker:
        """Start a worker process."""
        started = Worker(self, environment or {}, settings)
        self.workers.append(started)
        return started

    def process(
        self, *command: str, environment: dict[str, str], log: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start Python with these arguments; it ends with the rig at the latest.

        log: file that what it says is added to; without one it says it where the tests do.
        """
        with nullcontext() if log is None else log.open("ab") as said:
            process = subprocess.Popen([sys.executable, *command], env=environment, stdout=said, stderr=said)
        self._processes.append(process)
        return process

    def event(self, buyers: int = 300) -> Event:
        """A new event of a random buyer."""
        self.sent += 1
        roll = self._random
        product = roll.randrange(50)
        return Event(
            schema_version=1,
            event_id=f"e{self.sent}",
            store="acme",
            buyer=f"{roll.randrange(buyers):016x}",
            type=EVENT_TYPES[min(int(roll.expovariate(0.3)), len(EVENT_TYPES) - 1)],  # type: ignore[arg-type]
            timestamp=int(time.time() * 1000) - 1_000 + roll.randrange(1_000),
            product_id=f"p{product}",
            category=f"c{product % 5}",
            price=float(product),
            currency="USD",
        )

    def send(self, count: int, *, rate: float | None = None, buyers: int = 300) -> None:
        """Send events and wait for their acks; whatever happens to the broker, each is stored once."""
        output = Output({**self.client_config(), "message.timeout.ms": 120_000}, 120)
        began = time.monotonic()
        for i in range(count):
            event = self.event(buyers)
            output.send(self.settings.topic, record_key(event.store, event.buyer), encode_event(event))
            if rate is not None:
                output.poll()
                pace(began + i / rate)
        output.flush()

    @contextmanager
    def trickle(self, rate: float, buyers: int = 300) -> Iterator[None]:
        """Events keep coming, at a rate, while the body runs."""
        ending = threading.Event()
        failed: list[BaseException] = []

        def run() -> None:
            try:
                while not ending.is_set():
                    self.send(max(1, int(rate / 4)), rate=rate, buyers=buyers)
            except ProducerError as error:
                failed.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join()
        assert not failed, failed

    def client_config(self) -> dict[str, Any]:
        """Connection settings of a confluent-kafka client."""
        return self.kafka.client_config()

    def environment(self, settings: WorkerSettings) -> dict[str, str]:
        """Variables that make a command of ours use this rig's servers and topics."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SIMPERSONA_")}
        environment |= {
            f"SIMPERSONA_{name.upper()}": str(value)
            for name, value in settings.model_dump().items()
            if value is not None
        }
        environment["SIMPERSONA_KAFKA_BOOTSTRAP_SERVERS"] = self.kafka.bootstrap
        environment["SIMPERSONA_HOME"] = str(self.folder / "home")
        return environment

    def wait_caught_up(self) -> None:
        """Until the store's progress covers every acknowledged record."""
        self.wait_for(lambda: self.folded() >= self.stored(), "the workers to catch up")

    def folded(self) -> int:
        """Sum of the store's next offsets."""
        progress = self.rows.progress_of(list(range(PARTITIONS)))
        return sum(p.next_offset for p in progress.values() if p is not None)

    def stored(self) -> int:
        """Sum of the topic's end offsets: what Kafka holds."""
        from feature_store.log.topics import end_offsets

        return sum(end_offsets(self.client_config(), self.settings.topic, list(range(PARTITIONS))).values())

    def wait_for(self, condition: Callable[[], bool], what: str, seconds: float = PATIENCE_S) -> None:
        """Poll a condition; fail with what was waited for and the workers' last words."""
        try:
            wait_until(condition, what, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.last_words()}") from None

    def wait_for_more(self, events: int) -> None:
        """Until the workers folded that many more."""
        before = self.folded()
        self.wait_for(lambda: self.folded() >= before + events, f"{events} more events to be folded")

    def last_words(self) -> str:
        """The ends of all workers' logs."""
        return "\n".join(
            f"{w.log.name}:\n" + "\n".join(w.log.read_text().splitlines()[-8:]) for w in self.workers
        )

    def command(self, command: bytes) -> None:
        """Put a command on the control topic."""
        output = Output(self.client_config(), 60)
        output.send(self.settings.control_topic, None, command)
        output.flush()

    def verify(self, archive: Path | None = None) -> VerifyReport:
        """The oracle, with the starter bundle and all that were swapped to."""
        erasures = ErasureLog(self.client_config(), self.settings.erasures_topic)
        starter = OnnxEncoder(load_bundle(starter_bundle_path()))
        try:
            return Verifier(
                self.client_config(),
                self.settings.topic,
                self.settings.assignments_topic,
                self.rows,
                erasures,
                KeyLog(self.client_config(), self.settings.keys_topic, PATIENCE_S),
                swapped_encoders(self.client_config(), self.settings.control_topic, starter),
                archive,
                self.settings.allowed_lateness_ms,
                WindowSettings(),
            ).run()
        finally:
            erasures.close()

    def assert_nothing_lost(self, archive: Path | None = None) -> VerifyReport:
        """After any fault: everything is folded exactly once, everything was said, nothing against it."""
        self.wait_caught_up()
        report = self.verify(archive)
        assert report.equal, f"{report}\n{self.last_words()}"
        assert report.buyers > 0
        return report

    def _make_topics(self) -> None:
        s = self.settings
        topics = [NewTopic(t, PARTITIONS, 1) for t in (s.topic, s.assignments_topic, s.dead_letters_topic)]
        topics.append(NewTopic(s.control_topic, 1, 1))
        for compacted, count in ((s.erasures_topic, PARTITIONS), (s.keys_topic, 1)):
            topics.append(NewTopic(compacted, count, 1, config={"cleanup.policy": "compact"}))
        topics[0].config = {"max.message.bytes": str(32 << 20)}
        admin = AdminClient(self.client_config())  # kept: a client that is collected drops its requests
        for done in admin.create_topics(topics).values():
            done.result(30)


class Worker:
    """One worker process."""

    def __init__(self, rig: Rig, environment: dict[str, str], settings: dict[str, Any]) -> None:
        self.rig, self.environment = rig, environment
        self.settings = rig.settings.model_copy(update=settings)
        self.log = rig.folder / f"worker-{len(rig.workers)}.log"
        self.start()

    def start(self) -> None:
        """Start, or start again after a kill."""
        environment = self.rig.environment(self.settings) | self.environment
        self.process = self.rig.process("-m", "ops.cli.main", "worker", environment=environment, log=self.log)

    def kill(self) -> None:
        """SIGKILL, as the kernel out of memory would."""
        self.process.kill()
        self.process.wait(30)

    def terminate(self) -> int:
        """SIGTERM; returns the exit status."""
        self.process.terminate()
        return self.process.wait(60)

    def freeze(self) -> None:
        """SIGSTOP: alive, holding its cache, deaf."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self.process.pid, signal.SIGCONT)

    def says(self, word: str) -> bool:
        """Whether the log has a word."""
        return self.count(word) > 0

    def count(self, word: str) -> int:
        """How often the log has a word."""
        return self.log.read_text().count(word)

    def wait_assigned(self) -> None:
        """Until it owns partitions."""
        self.rig.wait_for(lambda: self.says("partitions_assigned"), f"{self.log.name} to own partitions")
