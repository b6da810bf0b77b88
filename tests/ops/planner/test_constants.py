"""What the planner reckons with is what was measured, and every figure says where it is from."""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path
from typing import Any

import pytest

from inference.counts.windows import WindowSettings
from ops.planner.constants import CONSTANTS
from ops.planner.plan import COUNTED_STORES
from tests.test_makefile import targets

RESULTS = Path(__file__).parents[3] / "bench" / "results"


def result(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return found


def measured() -> dict[str, float]:
    """Each measured constant, from the files that the commands wrote."""
    race = next(entry for entry in result("live_path")["entries"] if entry["name"] == "ours")["trials"]
    read = next(
        cell["persona"]["cpu_ms"]
        for cell in result("api")["cells"]
        if (cell["server"], cell["rate"], cell["persona"]["load"]["clients"]) == ("now", 5000, 32)
    )
    encode = result("encode")

    def seconds(step: str) -> float:
        (found,) = [it["seconds"] for it in encode["steps"] if it["name"].startswith(step)]
        return statistics.median(found)

    sizes = result("sizes")["sizes"][-1]
    return {
        "worker": statistics.median(it["events"] / it["seconds"] for it in race),
        "servers_cpu": statistics.median(it["server_cpu_s"] / it["events"] for it in race),
        "assignments": race[0]["assignments"] / race[0]["events"],
        "read_cpu": read / 1000,
        "encoder_cpu": seconds("the encoder") / encode["buyers"],
        "live_bytes": sizes["live_bytes"],
        "window_bytes": sizes["window_bytes"],
        "event_bytes": sizes["event_bytes"],
        "assignment_bytes": sizes["assignment_bytes"],
        "archive_bytes": sizes["archive_bytes"],
        "request_cpu": sizes["collect_request_cpu_s"],
        "event_cpu": sizes["collect_event_cpu_s"],
        "history_cpu": (seconds("reading events") + seconds("fold and vectors")) / encode["buyers"],
    }


@pytest.mark.parametrize("name", [name for name, it in CONSTANTS.items() if it.source.startswith("make ")])
def test_a_measured_figure_is_the_one_in_the_results(name: str) -> None:
    assert CONSTANTS[name].value == pytest.approx(measured()[name], rel=2e-3)


def test_every_figure_names_its_source() -> None:
    for name, it in CONSTANTS.items():
        command = re.match(r"make ([a-z-]+), \d{4}-\d\d-\d\d$", it.source)
        assumed = it.source.startswith("assumed: ")
        setting = re.fullmatch(r"SIMPERSONA_\w+", it.source)
        assert command or assumed or setting, name
        assert command is None or command[1] in targets(), name


def test_the_date_of_a_figure_is_that_of_its_results() -> None:
    files = {"bench": "live_path", "bench-api": "api", "bench-encode": "encode", "bench-sizes": "sizes"}
    for name, it in CONSTANTS.items():
        if it.source.startswith("make "):
            target, _, date = it.source.removeprefix("make ").partition(", ")
            assert result(files[target])["date"] == date, name


def test_figures_that_are_settings_have_their_defaults() -> None:
    defaults = {name: field.default for name, field in WindowSettings.variables().items()}
    for it in CONSTANTS.values():
        if it.source.startswith("SIMPERSONA_"):
            assert it.value == defaults[it.source], it.source
    assert defaults["SIMPERSONA_WINDOW_STORES"] == COUNTED_STORES
