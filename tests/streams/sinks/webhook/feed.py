"""Topics of one test with assignments and erasures on them, and sinks that read them."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient, NewTopic

from feature_store.contract.erasure import Erasure, encode_erasure
from feature_store.contract.events import record_key
from feature_store.contract.partitions import partition_of
from feature_store.log.producer import Output
from feature_store.log.reader import LogReader
from feature_store.online.assignment import Assignment, encode_assignment, token
from ops.stack.kafka import Kafka
from streams.dead_letters import DeadLetter, decode_dead_letter
from streams.sinks.metrics import Delivered
from streams.sinks.runner import SinkRunner
from streams.sinks.sink import Sink
from streams.sinks.telling import KnownErasures
from streams.sinks.webhook.settings import WebhookSettings
from streams.sinks.webhook.sink import WebhookSink
from tests.streams.sinks.webhook.receiver import SECRET

PARTITIONS = 3


class Feed:
    """Topics of one test, and sinks that read them."""

    def __init__(self, kafka: Kafka, folder: Path) -> None:
        self.kafka, self.folder, name = kafka, folder, f"feed-{uuid.uuid4().hex[:8]}"
        self.topic, self.dead, self.erased, self.group = name, f"{name}-dead", f"{name}-erased", f"{name}-g"
        admin = AdminClient(kafka.client_config())
        topics = [NewTopic(topic, PARTITIONS, 1) for topic in (self.topic, self.dead, self.erased)]
        for done in admin.create_topics(topics, operation_timeout=15).values():
            done.result()

    def assign(self, count: int, store: str = "acme", buyers: int = 20, first: int = 0) -> None:
        """Send assignments; `events` counts them."""
        output = Output(self.kafka.client_config(), 30)
        for number in range(first, first + count):
            buyer = f"{number % buyers:016x}"
            given = assignment(store, buyer, number)
            output.send(self.topic, record_key(store, buyer), encode_assignment(given))
        output.flush()

    def erase(self, buyer: str, before: int, done: bool = False, store: str = "acme") -> None:
        """An erasure, as whoever asks and then the worker write it."""
        key = record_key(store, buyer)
        erasure = Erasure(
            partition=partition_of(key, PARTITIONS),
            before_offset=before,
            requested_at=1,
            erased_at=2 if done else None,
        )
        output = Output(self.kafka.client_config(), 30)
        output.send(self.erased, key, encode_erasure(erasure))
        output.flush()

    def settings(self, url: str, **more: Any) -> dict[str, Any]:
        return {
            "url": url,
            "secret": SECRET,
            "group": self.group,
            "dead_letters_topic": self.dead,
            "batch_items": 10,
            "backoff_s": 0.2,
            **more,
        }

    @contextmanager
    def sink(self, url: str, **more: Any) -> Iterator[SinkRunner]:
        with (
            closing(WebhookSink(WebhookSettings(**self.settings(url, **more)))) as sink,
            self.runner(sink, url, **more) as runner,
        ):
            yield runner

    @contextmanager
    def runner(self, sink: Sink, url: str, **more: Any) -> Iterator[SinkRunner]:
        settings, config = WebhookSettings(**self.settings(url, **more)), self.kafka.client_config()
        with closing(KnownErasures(config, self.erased)) as erasures:
            yield SinkRunner(config, self.topic, "webhook", settings, sink, erasures, Output(config, 30))

    def deliver(self, url: str, **more: Any) -> Delivered:
        with self.sink(url, **more) as sink:
            return sink.run(until_end=True)

    def process(self, url: str, *arguments: str, **more: Any) -> subprocess.Popen[bytes]:
        """`simpersona webhook` as a process."""
        variables = {f"SIMPERSONA_WEBHOOK_{k.upper()}": str(v) for k, v in self.settings(url, **more).items()}
        variables |= {
            "SIMPERSONA_KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap,
            "SIMPERSONA_ASSIGNMENTS_TOPIC": self.topic,
            "SIMPERSONA_ERASURES_TOPIC": self.erased,
            "SIMPERSONA_HOME": str(self.folder / "home"),
        }
        command = [sys.executable, "-m", "ops.cli.main", "webhook", *arguments]
        return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def dead_letters(self) -> list[DeadLetter]:
        with LogReader(self.kafka.client_config()) as reader:
            return [
                decode_dead_letter(message.value())
                for number in range(PARTITIONS)
                for batch in reader.read(self.dead, number)
                for message in batch
            ]


def assignment(store: str, buyer: str, number: int) -> Assignment:
    return Assignment(
        store=store,
        buyer=buyer,
        code=number % 256,
        token=token(number % 256),
        type="comparer",
        confidence=0.75,
        distance=0.5,
        margin=0.1,
        codebook_version="v1",
        events=number,
        reason="code",
        event_time=1_764_000_000_000 + number,
        assigned_at=1_764_000_000_100 + number,
        partition=0,
        offset=number,
    )
