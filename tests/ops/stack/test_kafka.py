"""A real broker: topics, resume after SIGKILL, SASL and TLS with the settings of our clients."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType
from pydantic import SecretStr

from feature_store.errors import KafkaConnectionError, TopicError
from feature_store.log.config import KafkaSettings, check_connection, faust_credentials, librdkafka_config
from ops.errors import ServerStartError
from ops.stack.kafka import Kafka, KafkaSecurity
from ops.stack.topics import create_topics, topics
from tests.ops.stack.clients import produce, read_all

pytestmark = pytest.mark.integration

USERS = {"admin": "admin-secret", "worker": "worker-secret"}


def test_topics_are_made_once_and_as_designed(kafka: Kafka) -> None:
    assert set(create_topics(kafka.client_config())) == set(topics(8))
    assert create_topics(kafka.client_config()) == []
    admin = AdminClient(kafka.client_config())
    found = {name: len(topic.partitions) for name, topic in admin.list_topics(timeout=10).topics.items()}
    assert {name: found[name] for name in topics(8)} == {
        "clickstream": 8,
        "clickstream-dead-letters": 8,
        "persona-assignments": 8,
        "persona-webhook-dead-letters": 8,
        "simpersona-control": 1,
        "simpersona-erasures": 8,
        "simpersona-keys": 1,
    }

    def setting(topic: str, name: str) -> str:
        resource = ConfigResource(ResourceType.TOPIC, topic)
        return str(admin.describe_configs([resource])[resource].result()[name].value)

    assert setting("simpersona-erasures", "cleanup.policy") == "compact"
    assert setting("clickstream", "message.timestamp.type") == "CreateTime"
    assert setting("clickstream", "retention.ms") == "-1"
    for letters in ("clickstream-dead-letters", "persona-webhook-dead-letters"):
        assert setting(letters, "retention.ms") == str(30 * 86_400_000)  # they hold what erased buyers did

    with pytest.raises(TopicError, match="has 8 partitions, not 3"):
        create_topics(kafka.client_config(), partitions=3)


def test_a_huge_record_reaches_the_clickstream(kafka: Kafka) -> None:
    create_topics(kafka.client_config())
    config = {**kafka.client_config(), "message.max.bytes": 30_000_000}
    produce(config, "clickstream", [b"\0" * 20_000_000])
    assert len(read_all(kafka.client_config(), "clickstream", 1)[0]) == 20_000_000


def test_a_killed_broker_resumes_with_its_data_on_its_port(
    kafka: Kafka, make_topic: Callable[..., str]
) -> None:
    topic = make_topic(partitions=1)
    written = [b"%d" % n for n in range(5_000)]
    produce(kafka.client_config(), topic, written)
    before = kafka.bootstrap
    kafka.kill()
    kafka.start()
    assert kafka.bootstrap == before
    produce(kafka.client_config(), topic, [b"after"])
    assert read_all(kafka.client_config(), topic, 5_001) == [*written, b"after"]


def test_an_unknown_topic_is_not_made_by_writing_to_it(kafka: Kafka, topic_name: str) -> None:
    AdminClient(kafka.client_config()).list_topics(topic_name, timeout=10)
    assert topic_name not in AdminClient(kafka.client_config()).list_topics(timeout=10).topics


def test_a_cluster_id_may_begin_with_a_hyphen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID("f8000000-0000-4000-8000-000000000001"))
    server = Kafka(tmp_path / "kafka", owned=True)
    server.start()
    server.stop()
    assert (tmp_path / "kafka" / "formatted").read_text().startswith("-")


def test_a_broker_that_cannot_start_says_why(tmp_path: Path) -> None:
    server = Kafka(tmp_path / "kafka", owned=True)
    server.start()
    server.stop()
    (tmp_path / "kafka" / "data" / "meta.properties").write_text("version=1\nnode.id=7\ncluster.id=wrong\n")
    with pytest.raises(ServerStartError, match=r"(?s)kafka ended.*Stored node id 7"):
        server.start()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """authority.pem, and broker.pem with broker.key for 127.0.0.1."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl command to make a certificate with")
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2")
    usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
    openssl(*new, "-subj", "/CN=authority", *usage, "-keyout", "authority.key", "-out", "authority.pem")
    signer = ("-CA", "authority.pem", "-CAkey", "authority.key")
    name = ("-subj", "/CN=broker", "-addext", "subjectAltName=IP:127.0.0.1")
    leaf = ("-addext", "basicConstraints=critical,CA:FALSE")
    openssl(*new, *signer, *name, *leaf, "-keyout", "broker.key", "-out", "broker.pem")
    return folder


@pytest.fixture(scope="module", params=["SASL_PLAINTEXT", "SASL_SSL"])
def secured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    security = KafkaSecurity(USERS)
    if request.param == "SASL_SSL":
        folder: Path = request.getfixturevalue("certificates")
        security = KafkaSecurity(
            USERS, folder / "broker.pem", folder / "broker.key", folder / "authority.pem"
        )
    server = Kafka(tmp_path_factory.mktemp("kafka-sasl"), owned=True, security=security)
    server.start()
    yield server
    server.stop()


def settings(server: Kafka, **changes: object) -> KafkaSettings:
    """What a user sets to reach `server` as the user worker."""
    assert server.security is not None
    authority = server.security.authority
    values: dict[str, object] = {
        "bootstrap_servers": server.bootstrap,
        "security_protocol": server.security.protocol,
        "sasl_username": "worker",
        "sasl_password": SecretStr("worker-secret"),
        "ssl_ca_location": str(authority) if authority else None,
    }
    return KafkaSettings.model_validate(values | changes)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "PLAIN"])
def test_our_clients_reach_a_secured_broker(secured: Kafka, mechanism: str) -> None:
    config = librdkafka_config(settings(secured, sasl_mechanism=mechanism))
    check_connection(config)
    create_topics(config)
    produce(config, "persona-assignments", [b"1", b"2"])
    assert read_all(config, "persona-assignments", 2) == [b"1", b"2"]


def test_fausts_driver_reaches_a_secured_broker(secured: Kafka) -> None:
    from aiokafka import AIOKafkaProducer
    from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

    create_topics(librdkafka_config(settings(secured)))
    credentials = credentials_to_aiokafka_auth(faust_credentials(settings(secured)))

    async def send() -> int:
        producer = AIOKafkaProducer(bootstrap_servers=secured.bootstrap, **credentials)
        await producer.start()
        try:
            return int((await producer.send_and_wait("persona-assignments", b"x")).offset)
        finally:
            await producer.stop()

    assert asyncio.run(send()) >= 0


def test_a_wrong_password_is_refused_in_one_clear_sentence(secured: Kafka) -> None:
    wrong = librdkafka_config(settings(secured, sasl_password=SecretStr("guess")))
    with pytest.raises(KafkaConnectionError, match=r"invalid credentials.*SIMPERSONA_KAFKA_SASL") as caught:
        check_connection(wrong)
    assert "guess" not in str(caught.value)


def test_a_plain_client_is_told_to_look_at_the_protocol(secured: Kafka) -> None:
    plain = librdkafka_config(KafkaSettings(bootstrap_servers=secured.bootstrap))
    with pytest.raises(KafkaConnectionError, match="SIMPERSONA_KAFKA_SECURITY_PROTOCOL"):
        check_connection(plain, timeout_s=3)


def test_a_broker_signed_by_somebody_else_is_refused(secured: Kafka) -> None:
    if secured.security is None or secured.security.certificate is None:
        pytest.skip("this listener has no certificate")
    trusting_the_system = librdkafka_config(settings(secured, ssl_ca_location=None))
    with pytest.raises(KafkaConnectionError, match="certificate verify failed"):
        check_connection(trusting_the_system)
