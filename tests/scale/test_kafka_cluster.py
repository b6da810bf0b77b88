"""Three real brokers: topics in three copies, one broker killed under load, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from feature_store.errors import TopicError
from feature_store.log.clients import producer_config
from feature_store.log.config import brokers_alive
from feature_store.log.topics import Replication
from ops.errors import StackInUseError
from ops.stack.kafka import Kafka, brokers_made, kafka_cluster
from ops.stack.local import LocalStack
from ops.stack.topics import create_topics, topics
from tests.ops.stack.clients import read_all
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

RECORDS = 60_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def brokers(folder: Path) -> Iterator[tuple[Kafka, ...]]:
    cluster = kafka_cluster(folder, 3, owned=True)
    for broker in cluster:
        broker.launch()
    for broker in cluster:
        broker.wait_ready()
    yield cluster
    for broker in cluster:
        broker.terminate()
    for broker in cluster:
        broker.stop()


def test_topics_have_three_copies_two_of_them_in_sync(brokers: tuple[Kafka, ...]) -> None:
    config = brokers[0].client_config()
    with pytest.raises(TopicError, match=r"4 copies .* need 4 brokers, and 3 of Kafka are alive"):
        create_topics(config, replication=Replication(copies=4))
    with pytest.raises(TopicError, match="3 of 2 copies can never be in sync"):
        create_topics(config, replication=Replication(copies=2, in_sync=3))
    assert set(create_topics(config)) == set(topics(8))

    admin = AdminClient(config)
    wait_until(  # a broker hears of new topics a moment after the controller made them
        lambda: set(topics(8)) <= set(admin.list_topics(timeout=10).topics), "every broker to know the topics"
    )
    found = admin.list_topics(timeout=10).topics
    for name in topics(8):
        assert {len(partition.replicas) for partition in found[name].partitions.values()} == {3}
        resource = ConfigResource(ResourceType.TOPIC, name)
        settings = admin.describe_configs([resource])[resource].result()
        assert settings["min.insync.replicas"].value == "2"

    assert create_topics(config, replication=Replication(3, 2)) == []
    with pytest.raises(TopicError, match="has 3 copies, not 2: nothing was changed"):
        create_topics(config, replication=Replication(copies=2))
    with pytest.raises(TopicError, match="wants 2 copies in sync, not 1: nothing was changed"):
        create_topics(config, replication=Replication(in_sync=1))


def test_a_broker_killed_under_load_loses_nothing_and_leaves_no_partition_alone(
    brokers: tuple[Kafka, ...],
) -> None:
    config = brokers[0].client_config()
    create_topics(config)
    producer = Producer(producer_config(config, {"delivery.report.only.error": True}))
    for number in range(RECORDS):
        if number == RECORDS // 3:
            producer.poll(0)
            brokers[1].kill()
        producer.produce("clickstream", b"%d" % number, b"%d" % (number % 997))
    assert producer.flush(60) == 0

    partitions = AdminClient(config).list_topics("clickstream", timeout=10).topics["clickstream"].partitions
    assert all(partition.leader in (1, 3) for partition in partitions.values())
    stored = sorted(int(value) for value in read_all(config, "clickstream", RECORDS, partitions=8))
    assert stored == list(range(RECORDS)), "records lost or stored twice"

    brokers[1].start()  # back with its data, on its port, in the same cluster
    wait_until(lambda: brokers_alive(config) == {1, 2, 3}, "the killed broker to be back")


def test_a_folder_keeps_its_number_of_brokers(brokers: tuple[Kafka, ...], folder: Path) -> None:
    assert brokers_made(folder) == 3
    assert [server.name for server in LocalStack(folder).servers] == [
        "valkey",
        "kafka",
        "kafka-2",
        "kafka-3",
        "triton",
    ]
    with pytest.raises(StackInUseError, match="was made with 3 brokers, not 1: leave the option out"):
        LocalStack(folder, brokers=1).up()
