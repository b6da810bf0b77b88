"""A real Apache Kafka (KRaft, one broker or several) on 127.0.0.1: no Docker, no installed Java."""

from __future__ import annotations

import base64
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from feature_store.log.config import brokers_alive
from feature_store.log.topics import MOST_REPLICAS, least_in_sync
from ops.errors import ServerStartError
from ops.stack.kafka_files import class_path, java
from ops.stack.processes import Say, Server, port_answers, silent

# Starts in half the time of the defaults (G1, second compiler) and keeps two busy cores for the workers.
JVM_FLAGS: Final = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")

LOG4J: Final = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %m (%c{1})%n%throwable{12}
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
"""


@dataclass(frozen=True)
class KafkaSecurity:
    """SASL, and TLS where a certificate is given, on the listener that clients use.

    users: name -> password (no commas, quotes or backslashes), for SCRAM-SHA-256 and PLAIN; the first one
    is the broker's own.
    certificate, key: PEM files of the broker (the key as unencrypted PKCS #8); authority: PEM file of
    who signed it.
    """

    users: Mapping[str, str]
    certificate: Path | None = None
    key: Path | None = None
    authority: Path | None = None

    @property
    def protocol(self) -> str:
        """Kafka's name for the listener's protocol."""
        return "SASL_SSL" if self.certificate else "SASL_PLAINTEXT"

    def properties(self) -> dict[str, str]:
        """The broker's properties for this listener."""
        user, password = next(iter(self.users.items()))
        own = f'required username="{user}" password="{password}"'
        plain_users = " ".join(f'user_{name}="{secret}"' for name, secret in self.users.items())
        modules, listener = "org.apache.kafka.common.security", f"listener.name.{self.protocol.lower()}"
        properties = {
            "sasl.enabled.mechanisms": "SCRAM-SHA-256,PLAIN",
            "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-256",
            f"{listener}.scram-sha-256.sasl.jaas.config": f"{modules}.scram.ScramLoginModule {own};",
            f"{listener}.plain.sasl.jaas.config": f"{modules}.plain.PlainLoginModule {own} {plain_users};",
        }
        if self.certificate and self.key and self.authority:
            properties |= {
                "ssl.keystore.type": "PEM",
                "ssl.keystore.certificate.chain": _one_line(self.certificate),
                "ssl.keystore.key": _one_line(self.key),
                "ssl.truststore.type": "PEM",
                "ssl.truststore.certificates": _one_line(self.authority),
            }
        return properties


class Kafka(Server):
    """A broker and controller in one process; formats a new folder, resumes on an old one.

    Alone it is a cluster of one; `kafka_cluster` makes several that belong together.
    """

    port_count = 2  # clients, controller

    def __init__(
        self,
        folder: Path,
        *,
        node: int = 1,
        owned: bool = False,
        say: Say = silent,
        security: KafkaSecurity | None = None,
    ) -> None:
        self.name = _name(node)
        super().__init__(folder, owned=owned, say=say)
        self.node = node
        self.cluster: Sequence[Kafka] = (self,)
        self.security = security

    @property
    def bootstrap(self) -> str:
        """What clients set as bootstrap.servers: every broker of the cluster."""
        return ",".join(broker.address for broker in self.cluster)

    @property
    def address(self) -> str:
        """Where clients reach this broker."""
        return f"127.0.0.1:{self.port}"

    def client_config(self) -> dict[str, Any]:
        """Connection settings of a confluent-kafka client (as the first user, where there are users)."""
        config = {"bootstrap.servers": self.bootstrap}
        if self.security:
            user, password = next(iter(self.security.users.items()))
            config |= {
                "security.protocol": self.security.protocol,
                "sasl.mechanism": "SCRAM-SHA-256",
                "sasl.username": user,
                "sasl.password": password,
            }
            if self.security.authority:
                config["ssl.ca.location"] = str(self.security.authority)
        return config

    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        """Write the configuration, format a new folder, and say how to start the broker."""
        for other in self.cluster:
            if not other.running:
                other.choose_ports()  # each broker must know where the other controllers will be
        classes = class_path(self.say)
        properties = self.folder / "server.properties"
        properties.touch(mode=0o600)  # holds passwords where there are users
        properties.write_text("".join(f"{key}={value}\n" for key, value in self._properties().items()))
        log4j = self.folder / "log4j2.properties"
        log4j.write_text(LOG4J)
        run = [java(), *JVM_FLAGS, f"-Dlog4j2.configurationFile={log4j}", "-cp", classes]
        self._format([*run, "kafka.tools.StorageTool", "format", "-c", str(properties)])
        return [*run, "kafka.Kafka", str(properties)], {}

    def answers(self) -> bool:
        """Whether the broker serves metadata and is registered with its controller."""
        if not port_answers(self.port):
            return False
        return self.node in brokers_alive(self.client_config() | {"bootstrap.servers": self.address})

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _format(self, command: list[str]) -> None:
        done = self.folder / "formatted"
        if done.exists():
            return
        shutil.rmtree(self._data, ignore_errors=True)  # a format that was cut off
        cluster = self._cluster_id()
        users = self.security.users if self.security else {}
        scram = [
            part
            for name, secret in users.items()
            for part in ("--add-scram", f"SCRAM-SHA-256=[name={name},password={secret}]")
        ]
        # With =, because one id in 64 begins with a hyphen and would be read as an option.
        command = [*command, f"--cluster-id={cluster}", *scram]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise ServerStartError(
                f"kafka could not format {self._data}: {(ran.stderr or ran.stdout).strip()}"
            )
        done.write_text(cluster)

    def _cluster_id(self) -> str:
        first = self.cluster[0].folder / "formatted"
        if first.exists():
            return first.read_text()
        return base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()

    def _properties(self) -> dict[str, str]:
        client_port, controller_port = self.ports[:2]
        protocol = self.security.protocol if self.security else "PLAINTEXT"
        copies = min(len(self.cluster), MOST_REPLICAS)
        properties = {
            "process.roles": "broker,controller",
            "node.id": str(self.node),
            # Static voters: the controllers' ports may then change between two runs on the same data.
            "controller.quorum.voters": ",".join(
                f"{broker.node}@127.0.0.1:{broker.ports[1]}" for broker in self.cluster
            ),
            "controller.listener.names": "CONTROLLER",
            "listeners": f"{protocol}://127.0.0.1:{client_port},CONTROLLER://127.0.0.1:{controller_port}",
            "advertised.listeners": f"{protocol}://127.0.0.1:{client_port}",
            "listener.security.protocol.map": f"CONTROLLER:PLAINTEXT,{protocol}:{protocol}",
            "inter.broker.listener.name": protocol,
            "log.dirs": str(self._data),
            "auto.create.topics.enable": "false",  # a mistyped topic is an error, not a new topic
            # After a kill the broker may register again when its old session has ended: 9 s by default.
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            "offsets.topic.num.partitions": "8",
            # A worker that dies frees its partitions in 6 s, not in 45, in KIP-848 groups too.
            "group.consumer.min.session.timeout.ms": "6000",
            "group.consumer.session.timeout.ms": "6000",
            "group.consumer.min.heartbeat.interval.ms": "1000",
            "group.consumer.heartbeat.interval.ms": "2000",
            "group.initial.rebalance.delay.ms": "0",
            "offsets.topic.replication.factor": str(copies),
            "transaction.state.log.replication.factor": str(copies),
            "transaction.state.log.min.isr": str(least_in_sync(copies)),
            "share.coordinator.state.topic.replication.factor": str(copies),
            "share.coordinator.state.topic.min.isr": str(least_in_sync(copies)),
        }
        return properties | (self.security.properties() if self.security else {})


def kafka_cluster(folder: Path, brokers: int, *, owned: bool = False, say: Say = silent) -> tuple[Kafka, ...]:
    """Brokers of one cluster in folders kafka, kafka-2, kafka-3 ... of `folder`; launch all, then wait."""
    cluster = tuple(
        Kafka(folder / _name(node), node=node, owned=owned, say=say) for node in range(1, brokers + 1)
    )
    for broker in cluster:
        broker.cluster = cluster
    return cluster


def brokers_made(folder: Path) -> int:
    """Of how many brokers the cluster in `folder` was made; 0 before it was started for the first time."""
    made = 0
    while (folder / _name(made + 1) / "formatted").exists():
        made += 1
    return made


def _name(node: int) -> str:
    return "kafka" if node == 1 else f"kafka-{node}"


def _one_line(pem: Path) -> str:
    """A PEM file as the value of a Java property: its line ends escaped."""
    return pem.read_text().strip().replace("\n", "\\n")
