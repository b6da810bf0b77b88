"""The secured compose: servers start on its files, know their clients and nobody else."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
import redis
import yaml

from feature_store.online.client import open_client
from ops.stack.topics import create_topics, topics
from tests.ops.configured_servers import (
    ROOT,
    SECURE,
    ConfiguredByFile,
    SecuredValkey,
    behind_tls,
    services,
    settings_of,
    started,
    store_password,
)


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    made = tmp_path / "secrets"
    subprocess.run([str(SECURE.parent / "make_secrets"), str(made)], check=True, capture_output=True)
    return made


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
