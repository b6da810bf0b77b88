"""Real servers for tests: one Kafka and one Valkey a session, fresh topics and an empty store a test."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest

from ops.stack.kafka import Kafka
from ops.stack.valkey import Valkey


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A broker without topics. A test that kills it starts it again before it ends."""
    server = Kafka(tmp_path_factory.mktemp("kafka"), owned=True)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """An online store, shared by the session: tests keep apart by topic or store name."""
    server = Valkey(tmp_path_factory.mktemp("valkey"), owned=True)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def topic_name() -> str:
    """A topic name that no other test uses; the topic does not exist."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def make_topic(kafka: Kafka) -> Callable[..., str]:
    """Create a topic with a fresh name: make_topic(partitions=8, prefix="test", **config) -> name.

    config: topic settings with _ for . (cleanup_policy="compact").
    """

    def make(partitions: int = 8, prefix: str = "test", **config: str) -> str:
        from confluent_kafka.admin import AdminClient, NewTopic

        name = f"{prefix}-{uuid.uuid4().hex[:12]}"
        settings = {key.replace("_", "."): value for key, value in config.items()}
        topic = NewTopic(name, num_partitions=partitions, replication_factor=1, config=settings)
        admin = AdminClient(kafka.client_config())  # kept: the future dies with its client
        admin.create_topics([topic], operation_timeout=15)[name].result()
        return name

    return make
