"""Prometheus' own tool checks the rules and runs their tests; every alert leads to a runbook entry."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from inference.api.metrics import ApiMetrics
from ops.calibration.metrics import CalibrationMetrics
from ops.drift.exporter import DriftMetrics
from streams.metrics import WorkerMetrics
from streams.sinks.metrics import SinkMetrics

ROOT = Path(__file__).resolve().parents[3]
RULES = ROOT / "ops" / "dashboards" / "rules"
TESTS = ROOT / "ops" / "dashboards" / "rules_tests"
REGISTRIES: list[CollectorRegistry] = [
    WorkerMetrics().registry,
    ApiMetrics().registry,
    DriftMetrics().registry,
    CalibrationMetrics().registry,
    SinkMetrics("webhook").registry,
]


def rules() -> list[dict[str, Any]]:
    return [
        rule
        for path in sorted(RULES.glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def series() -> set[str]:
    """Every series that a registry exposes, and those that rules record."""
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "gauge": [""]}
    exposed = {
        family.name + suffix
        for registry in REGISTRIES
        for family in registry.collect()
        for suffix in suffixes[family.type]
    }
    return exposed | {rule["record"] for rule in rules() if "record" in rule}


def promtool(*arguments: str) -> str:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not installed (Debian's package prometheus)")
    ran = subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_promtool_accepts_the_rules() -> None:
    assert "SUCCESS" in promtool("check", "rules", *map(str, RULES.glob("*.yml")))


@pytest.mark.parametrize("path", sorted(TESTS.glob("*.yml")), ids=lambda path: path.name)
def test_the_rules_do_what_their_tests_say(path: Path) -> None:
    promtool("test", "rules", str(path))


def test_every_alert_is_seen_firing_and_silent() -> None:
    expected = {alert["alert"]: set[bool]() for alert in alerts()}
    for path in TESTS.glob("*.yml"):
        for case in yaml.safe_load(path.read_text())["tests"]:
            for check in case["alert_rule_test"]:
                expected[check["alertname"]].add(bool(check["exp_alerts"]))
    assert {name: seen for name, seen in expected.items() if seen != {True, False}} == {}


def test_every_alert_has_its_entry_in_the_runbook() -> None:
    headings = re.findall(r"(?m)^## (.+)$", (ROOT / "docs" / "runbook.md").read_text())
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    for alert in alerts():
        page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
        assert page == "docs/runbook.md", alert["alert"]
        assert anchor in anchors, alert["alert"]


def test_rules_ask_for_series_that_exist() -> None:
    known = series()
    for rule in rules():
        for asked in re.findall(r"\bsimpersona[_:][\w:]+", rule["expr"]):
            assert asked in known, f"{rule.get('alert') or rule['record']} asks for {asked}"
