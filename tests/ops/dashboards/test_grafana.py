"""Grafana's dashboards ask for series that exist, of the data source that is provisioned."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ops.dashboards.test_rules import ROOT, series

DASHBOARDS = sorted((ROOT / "ops" / "dashboards" / "grafana").glob("*.json"))
DATASOURCES = ROOT / "ops" / "compose" / "grafana" / "provisioning" / "datasources" / "prometheus.yml"


def panels(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text())["panels"]
    return found


def test_there_is_one() -> None:
    assert DASHBOARDS


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_every_panel_asks_for_series_that_exist(path: Path) -> None:
    known = series()
    sources = {source["uid"] for source in yaml.safe_load(DATASOURCES.read_text())["datasources"]}
    for panel in panels(path):
        if panel["type"] == "row":
            continue
        assert panel["datasource"]["uid"] in sources, panel["title"]
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            for asked in re.findall(r"\bsimpersona[_:][\w:]+", target["expr"]):
                assert asked in known, f"{panel['title']} asks for {asked}"


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_panels_have_ids_of_their_own_and_do_not_overlap(path: Path) -> None:
    placed = panels(path)
    assert len({panel["id"] for panel in placed}) == len(placed)
    for one, other in combinations([panel["gridPos"] | {"title": panel["title"]} for panel in placed], 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, f"{one['title']} lies over {other['title']}"
