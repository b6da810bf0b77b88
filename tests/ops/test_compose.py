"""docker-compose.yml cannot rot: Docker does not run here, so what it names is held to what is there."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import pytest
import redis
import yaml

from feature_store.log.config import KafkaSettings, librdkafka_config
from feature_store.online.client import open_client
from ops.cli.main import simpersona
from ops.settings import SETTINGS
from ops.stack.kafka import Kafka
from ops.stack.processes import port_answers
from ops.stack.topics import create_topics, topics
from ops.stack.valkey import Valkey

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker-compose.yml"
SECURE = ROOT / "ops" / "compose" / "secure.yml"
PROMETHEUS = ROOT / "ops" / "compose" / "prometheus.yml"
MADE_BY_THE_USER = {"secrets", "scrape-key"}
LOG_LEVEL = "SIMPERSONA_LOG_LEVEL"  # read before any class of settings is imported


def services(path: Path = COMPOSE) -> dict[str, dict[str, Any]]:
    loaded: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text())["services"]
    return loaded


def ours() -> dict[str, dict[str, Any]]:
    return {name: service for name, service in services().items() if service["image"] == "simpersona"}


@pytest.mark.parametrize("path", [COMPOSE, SECURE], ids=lambda path: path.name)
def test_it_fits_the_compose_specification(path: Path) -> None:
    command = ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    checked = subprocess.run(
        [str(ROOT / ".venv" / "bin" / command[0]), *command[1:]], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("name", ours())
def test_a_service_runs_a_command_that_exists(name: str) -> None:
    arguments = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", part) for part in ours()[name]["command"]]
    command: click.Command = simpersona
    parent = None
    while isinstance(command, click.Group):
        called = arguments.pop(0)
        parent = click.Context(command, parent=parent)
        found = command.get_command(parent, called)
        assert found is not None, called
        command = found
    command.make_context(called, arguments, parent=parent)  # raises on an option that is not there


def test_every_mounted_path_is_there() -> None:
    for path in (COMPOSE, SECURE):
        for name, service in services(path).items():
            for mount in service.get("volumes", []):
                source = mount.split(":")[0]
                if source.startswith("./") and source.split("/")[1] not in MADE_BY_THE_USER:
                    assert (ROOT / source).exists(), f"{name} mounts {source}"


def test_every_named_volume_is_declared() -> None:
    declared = yaml.safe_load(COMPOSE.read_text())["volumes"].keys()
    used = {mount.split(":")[0] for service in services().values() for mount in service.get("volumes", [])}
    assert {source for source in used if not source.startswith("./")} == declared


def test_every_setting_exists() -> None:
    known = {LOG_LEVEL}.union(*(settings.variables() for settings in SETTINGS))
    for name, service in ours().items():
        assert set(service["environment"]) <= known, name


def test_every_dependency_and_every_secured_client_is_a_service() -> None:
    names = services().keys()
    for name, service in services().items():
        assert set(service.get("depends_on", [])) <= names, name
    # Whoever reads or writes Kafka needs the password.
    assert {name for name in ours() if "KAFKA" in str(ours()[name]["environment"])} <= services(SECURE).keys()
    for name, service in ours().items():
        if "SIMPERSONA_STORE_URL" in service["environment"]:
            assert services(SECURE)[name]["environment"]["SIMPERSONA_STORE_URL"].startswith("rediss://:${")


def test_prometheus_scrapes_services_on_the_ports_they_serve() -> None:
    jobs = yaml.safe_load(PROMETHEUS.read_text())["scrape_configs"]
    targets = {sd["names"][0]: sd["port"] for job in jobs for sd in job["dns_sd_configs"]}
    assert targets.keys() <= services().keys()
    for name in targets.keys() & ours().keys():
        told = [*ours()[name]["environment"].values(), *ours()[name]["command"]]
        assert str(targets[name]) in map(str, told), name


def test_prometheus_reads_the_api_with_a_key_from_a_mounted_file() -> None:
    jobs = yaml.safe_load(PROMETHEUS.read_text())["scrape_configs"]
    (of_api,) = [job for job in jobs if job["job_name"] == "simpersona-api"]
    folder, _, file = of_api["authorization"]["credentials_file"].partition("/")
    assert file == "api.key"
    mounts = services()["prometheus"]["volumes"]
    assert f"./{folder}:/etc/prometheus/{folder}:ro" in [mount.split(" ")[0] for mount in mounts]


def test_the_page_reads_workers_where_they_serve_metrics() -> None:
    (url,) = json.loads(ours()["api"]["environment"]["SIMPERSONA_DASHBOARD_WORKERS"])
    parts = urlsplit(url)
    assert parts.hostname == "worker"
    assert str(parts.port) == ours()["worker"]["environment"]["SIMPERSONA_METRICS_PORT"]
    assert parts.path == "/metrics"


def test_promtool_accepts_the_configuration(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian's package prometheus)")
    shutil.copy(PROMETHEUS, tmp_path)
    shutil.copytree(ROOT / "ops" / "dashboards" / "rules", tmp_path / "rules")  # as the container mounts them
    (tmp_path / "scrape-key").mkdir()
    (tmp_path / "scrape-key" / "api.key").write_text("sp_0_0")
    checked = subprocess.run(
        [promtool, "check", "config", str(tmp_path / PROMETHEUS.name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


def test_the_image_copies_what_is_there_and_holds_no_torch() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        source
        for line in re.findall(r"(?m)^COPY (?!--from)(.+)$", dockerfile)
        for source in line.split()[:-1]
    }
    assert copied == allowed
    assert all((ROOT / source).exists() for source in copied)
    assert not re.search(r"(?m)^(torch|mlflow|transformers)==", (ROOT / "requirements/serve.txt").read_text())
    assert re.search(r"(?m)^USER simpersona$", dockerfile)


def test_compiled_code_is_not_shared_between_containers() -> None:
    """numba unpickles its cache: a container that is taken must not write what another one runs."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    (cache,) = re.findall(r"(?m)^ENV NUMBA_CACHE_DIR=(\S+)$", dockerfile)
    (volumes,) = re.findall(r"(?m)^VOLUME (.+)$", dockerfile)
    assert any(Path(cache).is_relative_to(volume) for volume in json.loads(volumes)), "the root is read-only"
    mounts = {
        mount.split(":")[1]
        for path in (COMPOSE, SECURE)
        for service in services(path).values()
        for mount in service.get("volumes", [])
    }
    assert not any(Path(cache).is_relative_to(mount) for mount in mounts)


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


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    made = tmp_path / "secrets"
    subprocess.run([str(SECURE.parent / "make_secrets"), str(made)], check=True, capture_output=True)
    return made


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


@pytest.mark.integration
def test_a_secured_store_knows_its_clients_and_nobody_else(tmp_path: Path, secrets: Path) -> None:
    server = SecuredValkey(tmp_path / "valkey", secrets / "valkey" / "valkey.conf")
    server.start()
    try:
        with behind_tls(server.port, secrets) as port:
            told: str = services(SECURE)["worker"]["environment"]["SIMPERSONA_STORE_URL"]
            url = re.sub(r"\$\{SIMPERSONA_STORE_PASSWORD:[^}]*\}", store_password(secrets), told)
            url = url.replace("valkey:6379", f"127.0.0.1:{port}")
            url = url.replace("/run/kafka/", f"{secrets / 'client'}/")
            with closing(open_client(url)) as client:
                assert client.ping()
                assert client.config_get("appendonly") == {"appendonly": "yes"}
                assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            with (
                closing(open_client(url.replace(store_password(secrets), "guessed"))) as client,
                pytest.raises(redis.AuthenticationError),
            ):
                client.ping()
            with (
                closing(open_client(url.split("?")[0])) as client,  # an authority that it does not know
                pytest.raises(redis.ConnectionError, match="certificate"),
            ):
                client.ping()
    finally:
        server.stop()


def test_the_stores_configuration_takes_no_connection_without_tls(secrets: Path) -> None:
    lines = (secrets / "valkey" / "valkey.conf").read_text().splitlines()
    settings = dict(line.split(" ", 1) for line in lines)
    assert (settings["port"], settings["tls-port"]) == ("0", "6379")
    assert len(settings["requirepass"]) == 48
    for name in ("tls-cert-file", "tls-key-file", "tls-ca-cert-file"):
        mounted = Path(settings[name])
        assert mounted.parent == Path("/etc/valkey")
        assert (secrets / "valkey" / mounted.name).exists()
    assert services(SECURE)["valkey"]["volumes"] == ["./secrets/valkey:/etc/valkey:ro"]
    # What the file takes the place of is not lost.
    plain = services()["valkey"]["command"]
    for option, value in zip(plain[1::2], plain[2::2], strict=True):
        assert settings[option.removeprefix("--")] == value


@pytest.mark.integration
def test_a_broker_starts_on_its_configuration(tmp_path: Path) -> None:
    with started(ConfiguredByFile(tmp_path / "kafka", ROOT / "ops" / "compose" / "kafka", {})) as broker:
        assert set(create_topics(broker.client_config())) == set(topics(8))


@pytest.mark.integration
def test_a_secured_broker_starts_on_its_configuration_and_knows_its_clients(
    tmp_path: Path, secrets: Path
) -> None:
    clients = settings_of(secrets)
    clients["SIMPERSONA_KAFKA_SSL_CA_LOCATION"] = str(secrets / "client" / "ca.pem")
    with started(ConfiguredByFile(tmp_path / "kafka", secrets / "kafka", clients)) as broker:
        assert set(create_topics(broker.client_config())) == set(topics(8))
    assert (secrets / "authority.key").stat().st_mode & 0o077 == 0


def test_nobody_else_on_the_machine_reads_a_secret(secrets: Path) -> None:
    """Files by what others may do with them; the folder itself lets nobody else in."""
    assert secrets.stat().st_mode & 0o077 == 0
    readable = {path.name for path in secrets.rglob("*") if path.is_file() and path.stat().st_mode & 0o077}
    assert readable == {"ca.pem"}
    for path in secrets.rglob("*"):
        if path.is_file() and path.stat().st_mode & 0o077:
            assert "PRIVATE KEY" not in path.read_text()
    password = settings_of(secrets)["SIMPERSONA_KAFKA_SASL_PASSWORD"]
    holders = {path.name for path in secrets.rglob("*") if path.is_file() and password in path.read_text()}
    assert holders == {"kafka.env", "server.properties"}
    password = store_password(secrets)
    holders = {path.name for path in secrets.rglob("*") if path.is_file() and password in path.read_text()}
    assert holders == {"compose.env", "valkey.conf"}


def test_the_containers_that_need_them_read_them(secrets: Path) -> None:
    """Servers as their images' users; clients only the certificate, since compose reads kafka.env itself."""
    if os.geteuid() == 0:
        assert {path.stat().st_uid for path in (secrets / "kafka").rglob("*")} == {1000}
        assert {path.stat().st_uid for path in (secrets / "valkey").rglob("*")} == {999}
    assert (secrets / "client").stat().st_mode & 0o005 == 0o005
    assert (secrets / "client" / "ca.pem").stat().st_mode & 0o004
    mounted = yaml.safe_load(SECURE.read_text())["services"]
    assert mounted["worker"]["env_file"] == ["./secrets/client/kafka.env"]


def test_secrets_are_never_overwritten(secrets: Path) -> None:
    again = subprocess.run(
        [str(SECURE.parent / "make_secrets"), str(secrets)], capture_output=True, text=True, check=False
    )
    assert again.returncode == 1
    assert "is there already" in again.stderr
