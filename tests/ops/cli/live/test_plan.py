"""`simpersona plan`: the table, the values for the chart, and bad input in one line."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from ops.cli.live.plan import plan
from ops.documents.pages import DOCS
from ops.planner.constants import CONSTANTS
from tests.ops.chart.rendering import LEAST, named, render

PLAN_BEGIN = "<!-- plan: made by `simpersona plan --buyers 8.37M --events-per-s 250k --stores 42` -->"
LOAD = ["--buyers", "8.37M", "--events-per-s", "250k", "--stores", "42"]


def test_the_answer_has_each_part_and_each_figure_with_its_source() -> None:
    done = CliRunner().invoke(plan, LOAD, env={"COLUMNS": "200"}, catch_exceptions=False)
    assert done.exit_code == 0
    for part in ("workers", "partitions", "brokers", "store", "API", "Triton", "archive", "backfill"):
        assert part in done.output
    for name, it in CONSTANTS.items():
        assert name in done.output
        assert it.source.split(", ")[0][:30] in done.output, name


def test_the_document_shows_what_the_command_prints() -> None:
    done = CliRunner().invoke(plan, LOAD, env={"COLUMNS": "110"}, catch_exceptions=False)
    shown = (DOCS / "scale.md").read_text().partition(PLAN_BEGIN)[2].partition("<!-- plan: end -->")[0]
    lines = [line.rstrip() for line in done.output.splitlines()]
    assert shown.strip().splitlines()[1:-1] == lines, "put its output there"


def test_the_chart_takes_the_answer() -> None:
    done = CliRunner().invoke(plan, [*LOAD, "--json"], catch_exceptions=False)
    values = json.loads(done.output)
    (container,) = named(render({**LEAST, **values}), "Deployment", "api")["spec"]["template"]["spec"][
        "containers"
    ]
    assert {"name": "SIMPERSONA_API_PROCESSES", "value": "2"} in container["env"]
    worker = named(render({**LEAST, **values}), "Deployment", "worker")["spec"]
    assert worker["replicas"] == values["plan"]["workers"]["workers"] > 1
    assert values["topics"]["partitions"] == values["plan"]["workers"]["partitions"]


def test_the_chart_counts_as_many_stores_as_there_are() -> None:
    done = CliRunner().invoke(plan, [*LOAD[:4], "--stores", "1k", "--json"], catch_exceptions=False)
    values = json.loads(done.output)
    (container,) = named(render({**LEAST, **values}), "Deployment", "worker")["spec"]["template"]["spec"][
        "containers"
    ]
    assert {"name": "SIMPERSONA_WINDOW_STORES", "value": "1000"} in container["env"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("8.37X", "'8.37X' is no number: write 8370000, 8.37M or 250k"),
        ("-5", "'-5' is no number"),
        ("1,00", "'1,00' is no number"),
        ("nan", "'nan' is no number"),
        ("", "'' is no number"),
        ("0", "0 is out of range: from 1 to 1,000G"),
        ("9000G", "9000G is out of range"),
    ],
)
def test_a_number_that_is_none_is_named(text: str, line: str) -> None:
    done = CliRunner().invoke(plan, [f"--buyers={text}", "--events-per-s=250k"])
    assert done.exit_code == 2
    assert line in done.output


@pytest.mark.parametrize("text", ["8370000", "8,370,000", "8370k", "8.37M", "0.00837G"])
def test_a_number_is_taken_as_people_write_it(text: str) -> None:
    done = CliRunner().invoke(
        plan, [f"--buyers={text}", "--events-per-s=250k", "--json"], catch_exceptions=False
    )
    assert json.loads(done.output)["plan"]["load"]["buyers"] == pytest.approx(8_370_000)


def test_a_load_that_is_left_out_is_asked_for() -> None:
    done = CliRunner().invoke(plan, ["--buyers", "5M"])
    assert done.exit_code == 2
    assert "--events-per-s" in done.output
