"""docker-compose.yml cannot rot: Docker does not run here, so what it names is held to what is there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import pytest
import yaml

from ops.cli.main import simpersona
from ops.settings import SETTINGS
from tests.ops.configured_servers import COMPOSE, PROMETHEUS, ROOT, SECURE, services

MADE_BY_THE_USER = {"secrets", "scrape-key"}
LOG_LEVEL = "SIMPERSONA_LOG_LEVEL"  # read before any class of settings is imported


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
