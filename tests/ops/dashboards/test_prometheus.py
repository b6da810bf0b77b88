"""A real Prometheus on the project's own rules scrapes a worker, an API and the drift watch: alerts fire."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import yaml

from feature_store.contract.events import encode_event, record_key
from feature_store.log.producer import Output
from ops.drift.alerts import BOOK
from ops.stack.processes import free_ports
from tests.api_process import Api
from tests.ops.dashboards.test_rules import RULES, rules
from tests.ops.test_compose import PROMETHEUS
from tests.rig import Rig, Worker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

SHORTENED = {"SimpersonaDeadLetters": "2s"}
"""How long a condition must hold before its alert fires, in our copy of the rules: five minutes are too many
for a test. Nothing else is changed."""


@pytest.fixture(scope="module")
def window_s() -> int:
    """As it is by default: an alert about drift needs five windows in a row."""
    return 300


class DriftWatch:
    """`simpersona drift --watch`, as compose starts it."""

    def __init__(self, api: Api, folder: Path) -> None:
        (self.port,) = free_ports(1)
        self._environment, self._log = api.environment, folder / "drift.log"
        self.book = folder / "home" / BOOK
        self.start()

    def start(self) -> None:
        """Start, or start again."""
        command = [sys.executable, "-m", "ops.cli.main", "drift", "--watch", "--every", "1"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--metrics-port", str(self.port)], env=self._environment, stdout=log, stderr=log
            )

    def stop(self) -> None:
        """SIGTERM."""
        self._process.terminate()
        self._process.wait(60)


@pytest.fixture(scope="module")
def watch(live: Rig, api: Api) -> Iterator[DriftWatch]:
    started = DriftWatch(api, live.folder)
    yield started
    started.stop()


class Prometheus:
    """A server on a configuration of the compose file's jobs, their targets on this machine."""

    def __init__(self, folder: Path, targets: dict[str, int], key: str) -> None:
        """key: of the API's metrics, put where the project's configuration looks for it."""
        (port,) = free_ports(1)
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
        configuration = yaml.safe_load(PROMETHEUS.read_text())
        configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        jobs = {job["job_name"]: job for job in configuration["scrape_configs"]}
        assert targets.keys() <= jobs.keys()
        configuration["scrape_configs"] = [
            {
                **{name: value for name, value in jobs[job].items() if name != "dns_sd_configs"},
                "static_configs": [{"targets": [f"127.0.0.1:{target}"]}],
            }
            for job, target in targets.items()
        ]
        key_file = folder / jobs["simpersona-api"]["authorization"]["credentials_file"]
        key_file.parent.mkdir()
        key_file.write_text(key)
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        copy_rules(folder / "rules")
        self.log = folder / "prometheus.log"
        flags = [
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(["prometheus", *flags], cwd=folder, stdout=log, stderr=log)

    def close(self) -> None:
        """SIGTERM."""
        self._client.close()
        self.process.terminate()
        self.process.wait(60)

    def ask(self, path: str, **parameters: str) -> Any:
        """The data of an answer; None while the server still starts."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            answer = self._client.get(f"/api/v1/{path}", params=parameters)
        except httpx.ConnectError:
            return None
        return answer.json()["data"] if answer.is_success else None

    def up(self) -> set[str]:
        """Jobs whose target was scraped."""
        found = self.ask("targets", state="active") or {"activeTargets": []}
        return {target["labels"]["job"] for target in found["activeTargets"] if target["health"] == "up"}

    def recorded(self, name: str) -> list[float]:
        """The values that a recording rule gives now."""
        found = self.ask("query", query=name) or {"result": []}
        return [float(series["value"][1]) for series in found["result"]]

    def firing(self) -> dict[str, dict[str, Any]]:
        """Alerts that fire, by name."""
        found = self.ask("alerts") or {"alerts": []}
        return {a["labels"]["alertname"]: a for a in found["alerts"] if a["state"] == "firing"}


def copy_rules(folder: Path) -> None:
    """The project's rules, with SHORTENED's waits."""
    folder.mkdir()
    for path in RULES.glob("*.yml"):
        content = yaml.safe_load(path.read_text())
        for group in content["groups"]:
            for rule in group["rules"]:
                if rule.get("alert") in SHORTENED:
                    rule["for"] = SHORTENED[rule["alert"]]
        (folder / path.name).write_text(yaml.safe_dump(content))


@pytest.fixture(scope="module")
def prometheus(
    worker: Worker, api: Api, watch: DriftWatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed (Debian's package prometheus)")
    assert worker.settings.metrics_port is not None
    targets = {
        "simpersona-worker": worker.settings.metrics_port,
        "simpersona-api": api.port,
        "simpersona-drift": watch.port,
    }
    key = api.new_key("*", "operation:read")
    server = Prometheus(tmp_path_factory.mktemp("prometheus"), targets, key)
    yield server
    server.close()


def test_every_target_is_scraped_and_every_recording_rule_gives_something(
    live: Rig, prometheus: Prometheus
) -> None:
    jobs = {"simpersona-worker", "simpersona-api", "simpersona-drift"}
    live.wait_for(lambda: prometheus.up() == jobs, "the targets to be up")
    names = [rule["record"] for rule in rules() if "record" in rule]
    with live.trickle(50):
        live.wait_for(
            lambda: all(any(not math.isnan(value) for value in prometheus.recorded(name)) for name in names),
            f"{names} to be recorded",
        )
    assert prometheus.recorded("simpersona:events:rate1m")[0] > 0
    assert prometheus.recorded("simpersona:event_to_tag_seconds:p99")[0] > 0
    assert prometheus.recorded("simpersona:dead_letters:share5m") == [0]
    assert prometheus.firing() == {}


def test_a_flood_of_refused_records_fires_its_alert(live: Rig, prometheus: Prometheus) -> None:
    output = Output(live.client_config(), 60)

    def flooded() -> bool:
        for _ in range(20):
            output.send(live.settings.topic, b"acme|nobody", b"{")
        output.flush()
        return "SimpersonaDeadLetters" in prometheus.firing()

    live.wait_for(flooded, "the alert")
    alert = prometheus.firing()["SimpersonaDeadLetters"]
    assert alert["labels"]["severity"] == "ticket"
    assert alert["annotations"]["summary"].endswith("of the events are refused")
    assert alert["annotations"]["runbook_url"] == "docs/runbook.md#dead-letters"


def test_traffic_unlike_the_reference_fires_the_drift_alert(
    live: Rig, prometheus: Prometheus, watch: DriftWatch, window_s: int
) -> None:
    """An hour of random clicks, which no shop's shoppers resemble, then a watch that begins after it."""
    assert "SimpersonaDrift" not in prometheus.firing()
    output = Output(live.client_config(), 60)
    now, hour = time.time_ns() // 1_000_000, 12 * window_s * 1000
    for number in range(2_400):
        event = msgspec.structs.replace(live.event(), timestamp=now - hour + number * hour // 2_400)
        output.send(live.settings.topic, record_key(event.store, event.buyer), encode_event(event))
    output.flush()
    live.wait_caught_up()
    watch.stop()
    watch.book.unlink()  # it has seen these windows empty, and sees each once
    watch.start()
    live.wait_for(lambda: "SimpersonaDrift" in prometheus.firing(), "the alert")
    assert prometheus.recorded('max(simpersona_drift_alert{store="acme",kind="model"})') == [1]
    assert prometheus.firing()["SimpersonaDrift"]["annotations"]["runbook_url"] == "docs/runbook.md#drift"
