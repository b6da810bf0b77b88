"""Usefulness: planted answers are found, rates are drawn as the formula says, bars go by the low end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feature_store.fold.vector import SCALARS
from feature_store.sources.writer import write_events
from ops.traffic import TrafficConfig, generate
from studies.encoder.report.pages import write_report
from studies.encoder.report.useful_page import bars_of
from studies.encoder.useful.answers import Answers
from studies.encoder.useful.cells import Cell, cells_of, figure, measure
from studies.encoder.useful.contenders import group_scores
from studies.encoder.useful.judge import BARS, Judgement
from studies.encoder.useful.references import GRID_KMEANS, RULES, groupings
from studies.encoder.useful.scene import END, Scene
from studies.encoder.useful.study import UsefulPlan, useful_study
from studies.encoder.useful.truth import claims
from studies.inputs import Histories
from training.encoder.dataset import BuyerVectors, training_rows
from training.encoder.outcomes import OUTCOMES
from training.evaluation.cells import rounded
from training.evaluation.foresight import base_rates, group_rates

CARTS = [scalar.name for scalar in SCALARS].index("carts")


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene.by_buyer(training_rows(generate(TrafficConfig(buyers=2_500, stores=2, hours=24 * 14), 3)))


def test_no_buyer_is_on_both_sides(scene: Scene) -> None:
    assert not set(scene.data.buyer[scene.learned]) & set(scene.data.buyer[scene.judged])
    assert (scene.learned | scene.judged).all()


def test_what_is_known_of_the_future_is_judged_only_in_sessions_after_the_cut(scene: Scene) -> None:
    middle = int(np.median(scene.data.time))
    later = Scene.by_time(scene.data, {scene.stores[0]: middle})
    assert (scene.data.time[scene.data.session_end[later.learned]] < middle).all()
    assert (scene.data.time[later.judged] >= middle).all()
    assert set(later.store[later.learned | later.judged]) == {0}
    assert later.judged.any()
    assert later.learned.any()


def test_counts_of_the_session_are_those_of_the_history_in_a_first_session(scene: Scene) -> None:
    counts = scene.counts()
    first = scene.before < 0
    assert np.array_equal(counts[first, :16], counts[first, 16:])
    events = np.expm1(counts[~first, 16])
    inside = scene.data.position[~first] > 0
    assert np.allclose(events[inside], scene.data.position[~first][inside])


def test_a_rate_is_drawn_to_all_shops_and_then_to_the_own() -> None:
    group = np.array([0, 0, 0, 0, 1, 1])
    shop = np.array([0, 0, 1, 1, 0, 1])
    happened = np.array([True, True, True, False, False, False])
    learned = np.ones(6, dtype=np.bool_)
    base = base_rates(shop, happened, learned)
    assert base.tolist() == pytest.approx([2.5 / 4] * 2 + [1.5 / 4] * 2 + [2.5 / 4, 1.5 / 4])
    stated = group_rates(group, shop, base, happened, learned)
    rate = base.mean()
    lift = (3 + 20 * rate) / (2 * 0.625 + 2 * 0.375 + 20 * rate)
    own = (2 + 10 * 0.625 * lift) / (2 * 0.625 + 10 * 0.625)
    assert stated[0] == pytest.approx(0.625 * own)


def test_a_group_that_nobody_learned_from_says_the_base_rate() -> None:
    group, shop = np.array([0, 0, 5]), np.zeros(3, dtype=np.int64)
    happened, learned = np.array([True, False, True]), np.array([True, True, False])
    base = base_rates(shop, happened, learned)
    assert group_rates(group, shop, base, happened, learned)[2] == pytest.approx(base[2])


def test_one_who_knows_is_far_above_rules_and_one_who_guesses_is_at_half(scene: Scene) -> None:
    cells = cells_of(scene)
    assert {OUTCOMES[cell.outcome] for cell in cells} >= {"cart", "purchase", "leaves_1", "next_cart"}
    random = np.random.default_rng(0).random(len(scene.store))
    knows = measure(scene, cells, lambda outcome: scene.happened[:, outcome].astype(np.float64))
    guesses = measure(scene, cells, lambda _: random)
    rule = measure(scene, cells, group_scores(scene, groupings(scene, 0)[RULES[1]]))
    assert figure(scene, cells, knows.auc, "rest")["value"] == 1.0  # type: ignore[index]
    guessed = figure(scene, cells, guesses.auc, "rest")
    assert guessed is not None
    assert guessed["low"] < 0.5 < guessed["high"]
    ruled = figure(scene, cells, rule.auc, "leaves")
    assert ruled is not None
    assert 0.5 < ruled["value"] < 0.9


def test_codes_inside_cells_are_as_many_as_ours_and_never_cross_a_cell(scene: Scene) -> None:
    found = groupings(scene, 0)
    code, grid = found[GRID_KMEANS], found["grid of 36"]
    assert code.max() < 256
    for one in np.unique(code[scene.learned]):
        assert len(np.unique(grid[scene.learned & (code == one)])) == 1


def test_a_bar_goes_by_the_low_end_and_few_positives_decide_nothing(scene: Scene) -> None:
    random = np.random.default_rng(0).random(len(scene.store))
    stated = {
        "code": np.stack([0.1 + 0.8 * scene.happened[:, outcome] for outcome in range(len(OUTCOMES))]),
        GRID_KMEANS: np.tile(random, (len(OUTCOMES), 1)),
    }
    judged = Judgement.of(scene, stated, [])
    won = {bar["group"]: bar["won"] for bar in judged.bars(BARS, "here")}
    assert won == {"rest": True, "leaves": True}
    swapped = judged._replace(
        measured={"code": judged.measured[GRID_KMEANS], GRID_KMEANS: judged.measured["code"]}
    )
    assert not any(bar["won"] for bar in swapped.bars(BARS, "here"))
    few = [cell._replace(rows=cell.rows[:20]) for cell in judged.cells if cell.place != END]
    assert all(bar["won"] is None for bar in judged._replace(cells=few[:1]).bars(BARS, "here"))
    assert isinstance(few[0], Cell)


def made_answers(training: BuyerVectors, data: BuyerVectors, config: dict[str, Any], seed: int) -> Answers:
    """An encoder without training: a code is the number of events and whether there was a cart."""
    n, carted = len(data.vectors), data.vectors[:, CARTS] > 0
    code = (np.minimum(data.vectors[:, 0], 60) + 100 * carted).astype(np.int64)
    type_of_code = (np.arange(256) >= 100).astype(np.int64)
    latent = np.random.default_rng(seed).random((n, 96)).astype(np.float32)
    return Answers(code, latent, type_of_code, ("looker", "carter"), type_of_code[code], np.full(n, 0.9), 1.0)


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """The part on two little shops, one of them also unseen, killed before the references and resumed."""
    folder = tmp_path_factory.mktemp("useful")
    write_events(folder / "events.parquet", generate(TrafficConfig(buyers=400, stores=2, hours=24 * 14), 3))
    plan = UsefulPlan((0,), ("electronics",), {}, 0, 0, by_time=True)
    histories = Histories([folder / "events.parquet"])
    told: list[str] = []

    def tell_until_killed(line: str) -> None:
        told.append(line)
        if line.startswith("run 4 of"):
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("studies.encoder.useful.study.trained_answers", made_answers)
        patch.setattr("studies.encoder.useful.cells.SAMPLES", 20)
        with pytest.raises(KeyboardInterrupt):
            useful_study(histories, plan, folder / "work", tell_until_killed)
        yield useful_study(histories, plan, folder / "work", told.append), told


def test_a_killed_part_goes_on_where_it_was(part: tuple[dict[str, Any], list[str]]) -> None:
    _, told = part
    assert [line[:10] for line in told if line.startswith("run")].count("run 1 of 6") == 1
    assert sum(line.startswith("run 1 of 3") for line in told) == 1


def test_the_page_begins_with_usefulness_and_has_the_figures_of_the_json(
    part: tuple[dict[str, Any], list[str]], tmp_path: Path
) -> None:
    report = {"useful": part[0], "command": "simpersona study"}
    write_report(report, tmp_path)
    page, figures = (
        (tmp_path / "evaluation.md").read_text(),
        json.loads((tmp_path / "evaluation.json").read_text()),
    )
    assert page.index("## Useful?") < page.index("### True?")
    assert figures == json.loads(json.dumps(rounded(report)))
    code = figures["useful"]["own"]["contenders"]["code"]["auc"]["rest"]
    assert f"{code['value']:.3f} [{code['low']:.3f}, {code['high']:.3f}]" in page
    for bar in bars_of(figures["useful"]):
        assert bar["asked"] in page
    assert "nan" not in page


def test_names_claim_what_they_say() -> None:
    depth, visits = claims(
        ("new-looker", "returning-buyer", "one-visit-buyer", "returning-carter", "comparer")
    )
    assert depth.tolist() == [3, 0, 0, 2, -1]
    assert visits.tolist() == [0, 1, 0, 1, -1]
