"""The study end to end on a little generated traffic, killed on the way and resumed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studies.encoder.part_names import CHECKS
from studies.encoder.plan import Plan, choose
from studies.encoder.report.pages import write_report
from studies.encoder.runs import Run, Runs
from studies.encoder.study import Inputs, run_study, without_test
from studies.sealed_test import Choice
from training.errors import EvaluationError
from training.evaluation.cells import rounded

# So little training leaves latents alike, and k-means says so.
pytestmark = pytest.mark.filterwarnings("ignore:Number of distinct clusters")

TINY: dict[str, Any] = {"epochs": 1, "warmup_epochs": 1, "epoch_rows": 1024, "forecast_epochs": 1}
TINY |= {"teacher_share": 0.0}  # teachers have tests of their own
PLAN = Plan(
    seeds=(0,),
    few_seeds=(0,),
    held_out=("boutique",),
    rebuilding_weights=(0.3,),
    base=TINY,
)


def plan_of(inputs: Inputs, **differs: Any) -> Plan:
    return PLAN.model_copy(update={"held_out": inputs.full.stores[:1], **differs})


class KilledError(Exception):
    pass


@pytest.fixture(scope="module")
def made(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path, list[str]]:
    """The report, its folder, and the lines told after a kill in the middle of the runs."""
    work = tmp_path_factory.mktemp("work")
    before: list[str] = []

    def tell_until_killed(line: str) -> None:
        before.append(line)
        if line.startswith("run 6 of"):
            raise KilledError

    with pytest.raises(KilledError):
        run_study(inputs, plan_of(inputs), work, tell_until_killed)
    kept = {path.name: path.stat().st_mtime_ns for path in (work / "runs").glob("*.npz")}
    assert len(kept) == 2 + 5  # the choice's two, and five of the study's
    after: list[str] = []
    report = run_study(inputs, plan_of(inputs), work, after.append)
    assert {name: (work / "runs" / name).stat().st_mtime_ns for name in kept} == kept  # none was done again
    report["command"] = "simpersona study"
    out = tmp_path_factory.mktemp("out")
    write_report(report, out)
    return report, out, [line for line in [*before, "---", *after] if line.startswith(("run", "---"))]


def test_a_killed_study_goes_on_where_it_was(made: tuple[dict[str, Any], Path, list[str]]) -> None:
    _, _, told = made
    cut = told.index("---")
    total = int(re.findall(r"of (\d+)", told[cut - 1])[0])
    left = int(re.findall(r"of (\d+)", told[cut + 1])[0])
    assert left == total - 5
    assert any("min left" in line for line in told)


def test_every_part_has_figures_and_bars(made: tuple[dict[str, Any], Path, list[str]]) -> None:
    report, _, _ = made
    assert set(CHECKS) <= set(report)
    for part in "ab":
        assert report[part]["bars"]
        assert all(isinstance(bar["won"], bool) for bar in report[part]["bars"])
    assert report["choice"]["fixed_at"] <= report["choice"]["opened_at"]
    for events in ("3", "5", "10", "all"):
        best = report["e"][events]["posterior"][0]["accuracy"]
        assert best > report["e"][events]["commonest"]


def test_page_and_json_have_the_same_figures(made: tuple[dict[str, Any], Path, list[str]]) -> None:
    report, out, _ = made
    page, figures = (out / "evaluation.md").read_text(), json.loads((out / "evaluation.json").read_text())
    assert figures == json.loads(json.dumps(rounded(report)))
    purity = 100 * figures["a"]["figures"]["model"]["purity"]["mean"]
    assert f"| purity % | {purity:.1f} [" in page
    for part in "ab":
        for bar in figures[part]["bars"]:
            value = bar["value"] if isinstance(bar["value"], str) else f"{bar['value']:.3g}"
            assert f"| {value} | {'won' if bar['won'] else '**missed**'} |" in page
    for plot in re.findall(r"\]\((evaluation/[^)]+)\)", page):
        svg = (out / plot).read_text()
        assert "<svg" in svg
        assert len(svg) < 100_000
    assert "nan" not in page


def test_a_run_is_kept_under_what_it_saw(inputs: Inputs, tmp_path: Path) -> None:
    runs = Runs(tmp_path, {"full": inputs.full})
    lloyd = Run(kind="lloyd")
    first = runs.get(lloyd)
    assert runs.path(lloyd).exists()
    again = Runs(tmp_path, {"full": inputs.full}).get(lloyd)
    assert (again.codes == first.codes).all()
    assert again.codes.max() < 256
    assert runs.path(Run(kind="lloyd", seed=1)) != runs.path(lloyd)
    other = inputs.full._replace(side=np.roll(inputs.full.side, 1))
    assert Runs(tmp_path, {"full": other}).path(lloyd) != runs.path(lloyd)


def test_a_held_out_store_teaches_nothing(inputs: Inputs, tmp_path: Path) -> None:
    """Another history of the held-out store leaves every code of the other store as it was."""
    store = inputs.full.stores[0]
    changed = inputs.full.data.vectors.copy()
    theirs = inputs.full.store[inputs.full.data.buyer] == 0
    changed[theirs, :16] *= 3
    other = inputs.full._replace(data=inputs.full.data._replace(vectors=changed))
    run = Run(kind="model", held_out=store, config=TINY | {"forecast_epochs": 0})
    codes = Runs(tmp_path / "a", {"full": inputs.full}).get(run).codes
    again = Runs(tmp_path / "b", {"full": other}).get(run).codes
    assert (codes[~theirs] == again[~theirs]).all()
    assert (codes[theirs] != again[theirs]).any()


def test_choosing_sees_no_test_buyer(inputs: Inputs, tmp_path: Path) -> None:
    """Other test buyers, the same choice."""
    scrambled = inputs.full.data.vectors.copy()
    tested = np.isin(inputs.full.data.buyer, inputs.full.where(2))
    scrambled[tested] = 0.0
    figures = []
    for name, vectors in (("a", inputs.full.data.vectors), ("b", scrambled)):
        full = inputs.full._replace(data=inputs.full.data._replace(vectors=vectors))
        choice = Choice(tmp_path / name / "choice.json")
        runs = Runs(tmp_path / name, {"full": without_test(full)})
        choose(plan_of(inputs), choice, runs, lambda _: None)
        figures.append(choice.read()["frontier"])
    assert figures[0] == figures[1]


def test_an_unknown_store_is_named(inputs: Inputs, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no events of the store nowhere"):
        run_study(inputs, plan_of(inputs, held_out=("nowhere",)), tmp_path, lambda _: None)
