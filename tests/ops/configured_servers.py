"""Servers on the files that docker-compose mounts, with the addresses and folders of this machine."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from feature_store.log.config import KafkaSettings, librdkafka_config
from ops.stack.kafka import Kafka
from ops.stack.processes import port_answers
from ops.stack.valkey import Valkey

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker-compose.yml"
SECURE = ROOT / "ops" / "compose" / "secure.yml"
PROMETHEUS = ROOT / "ops" / "compose" / "prometheus.yml"


def services(path: Path = COMPOSE) -> dict[str, dict[str, Any]]:
    loaded: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text())["services"]
    return loaded


class ConfiguredByFile(Kafka):
    """A broker on a file of properties meant for the container: addresses and folders are this machine's."""

    def __init__(self, folder: Path, mounted: Path, clients: dict[str, str]) -> None:
        super().__init__(folder, owned=True)
        self._mounted, self._clients = mounted, clients

    def _properties(self) -> dict[str, str]:
        client_port, controller_port = self.ports
        text = (self._mounted / "server.properties").read_text()
        for theirs, here in {
            "0.0.0.0:9092": f"127.0.0.1:{client_port}",
            "kafka:9092": f"127.0.0.1:{client_port}",
            "localhost:9093": f"127.0.0.1:{controller_port}",
            "/var/lib/kafka/data": str(self._data),
            "/mnt/shared/config": str(self._mounted),
        }.items():
            assert theirs in text or theirs.startswith("/mnt"), theirs
            text = text.replace(theirs, here)
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        return dict(line.split("=", 1) for line in lines)

    def client_config(self) -> dict[str, Any]:
        settings = {name.removeprefix("SIMPERSONA_KAFKA_").lower(): v for name, v in self._clients.items()}
        return librdkafka_config(KafkaSettings(bootstrap_servers=self.bootstrap, **settings))


@contextmanager
def started(broker: Kafka) -> Iterator[Kafka]:
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


def settings_of(secrets: Path) -> dict[str, str]:
    lines = (secrets / "client" / "kafka.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def store_password(secrets: Path) -> str:
    return (secrets / "compose.env").read_text().strip().removeprefix("SIMPERSONA_STORE_PASSWORD=")


class SecuredValkey(Valkey):
    """A store on the container's file, less TLS, which the binary here is built without."""

    def __init__(self, folder: Path, configuration: Path) -> None:
        super().__init__(folder, owned=True)
        self._configuration = configuration

    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        (binary, *_), environment = super().command()
        lines = self._configuration.read_text().splitlines()
        plain = [line for line in lines if not line.startswith(("port ", "tls-", "dir "))]
        here = [f"port {self.port}", "bind 127.0.0.1", f"dir {self.folder / 'data'}"]
        (self.folder / "valkey.conf").write_text("\n".join([*plain, *here]))
        return [binary, str(self.folder / "valkey.conf")], environment

    def answers(self) -> bool:
        return port_answers(self.port)


@contextmanager
def behind_tls(port: int, secrets: Path) -> Iterator[int]:
    """A port that speaks TLS with the store's own certificate before a port that does not."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(secrets / "valkey" / "certificate.pem", secrets / "valkey" / "key.pem")

    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):  # of which TLS's errors are
            while data := source.recv(65_536):
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve(client: socket.socket) -> None:
        with (
            suppress(OSError),
            client,
            tls.wrap_socket(client, server_side=True) as outer,
            socket.create_connection(("127.0.0.1", port)) as inner,
        ):
            answers = threading.Thread(target=pump, args=(inner, outer))
            answers.start()
            pump(outer, inner)
            answers.join()

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()
