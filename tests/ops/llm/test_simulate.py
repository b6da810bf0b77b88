"""A population: tokens of the mix, one agent a token, counted ends, events as a shop would send them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from feature_store.contract.identity import PlainIds
from feature_store.errors import OutputError
from feature_store.fold.behavior import SESSION_GAP_MS
from feature_store.sources.reader import open_events
from feature_store.sources.writer import write_events
from inference.bundles.bundle import Bundle, load_bundle, starter_bundle_path
from inference.population import draw_codes, store_mix
from ops.cli.llm.train import train
from ops.llm.simulate import Asked, as_events, own_agents, populate
from ops.store_mix import mix_of
from studies.persona_llm.command import evaluate
from tests.inference.made_bundles import make_bundle
from tests.training.lifecycle.test_registry import full_disk
from training.errors import CodebookError, DatasetError, ExportError
from training.persona_llm.agents.agents import ENDS, End, Run, Shopper, simulate
from training.persona_llm.agents.population import DAY_MS, Visit, describe_runs, load_visits, save_visits
from training.persona_llm.model.folder import PersonaLlm, load_llm
from training.persona_llm.model.from_traces import EPOCHS
from training.persona_llm.storefront.storefront import Goal
from training.persona_llm.traces.traces import load_traces

pytestmark = pytest.mark.numeric

STARTER = load_bundle(starter_bundle_path())


@pytest.fixture(scope="module")
def model(llm_folder: Path) -> PersonaLlm:
    return load_llm(llm_folder)


def go(model: PersonaLlm, bundle: Bundle = STARTER, **asked: object) -> tuple[list[Visit], dict[str, object]]:
    order = Asked(**{"store": "acme", "n": 40, "seed": 3} | asked)  # type: ignore[arg-type]
    return populate(model, bundle, order, own_agents(model, order), lambda went: None)


def test_one_agent_a_token_of_the_stores_mix_and_every_end_is_counted(model: PersonaLlm) -> None:
    visits, about = go(model)
    counts = np.bincount(
        [t.codes["after"] for t in load_traces(model.folder.with_name("traces"))[0] if t.split == "train"],
        minlength=256,
    )
    drawn = draw_codes(store_mix(counts, counts), 40, 3)
    assert [visit.run.shopper.code for visit in visits] == drawn.tolist()
    assert sum(about["ends"].values()) == 40  # type: ignore[attr-defined]
    assert tuple(about["ends"]) == ENDS  # type: ignore[call-overload]
    assert about["codebook_version"] == STARTER.codebook_version
    assert about["mapped"] is None


def test_the_mix_of_a_bundle_of_the_same_codebook_is_taken_as_it_is(model: PersonaLlm) -> None:
    visits, about = go(model, source="reference")
    drawn = draw_codes(mix_of(STARTER, "acme", "reference"), 40, 3)
    assert [visit.run.shopper.code for visit in visits] == drawn.tolist()
    assert about["mapped"] is None


def test_the_seed_decides(model: PersonaLlm) -> None:
    assert go(model) == go(model)
    assert go(model)[0] != go(model, seed=4)[0]
    assert {visit.buyer for visit in go(model)[0]}.isdisjoint(visit.buyer for visit in go(model, seed=4)[0])


def test_how_agents_draw_is_asked_for_and_kept_with_the_result(
    model: PersonaLlm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What temperature and guidance do is a law of sampling: tests/training/persona_llm/agents."""
    asked: list[dict[str, float]] = []

    def watched(*inputs: Any, temperature: float, guidance: float, **options: Any) -> list[Run]:
        asked.append({"temperature": temperature, "guidance": guidance})
        return simulate(*inputs, temperature=temperature, guidance=guidance, **options)

    monkeypatch.setattr("ops.llm.simulate.simulate", watched)
    for how in ({"temperature": 0.05, "guidance": 3.0}, {"temperature": 1.0, "guidance": 1.0}):
        _, about = go(model, n=4, **how)
        assert {name: about[name] for name in how} == how
        assert asked.pop() == how


def test_an_asked_goal_is_the_agents_goal(model: PersonaLlm) -> None:
    visits, about = go(model, goal="purchase")
    assert {visit.run.shopper.goal.fulfilled_by for visit in visits} == {"purchase"}
    ends = about["ends"]
    bought = sum("purchase" in visit.run.actions for visit in visits)
    assert ends["done"] <= bought  # type: ignore[index]


def test_a_run_that_left_before_its_goal_failed_as_in_the_evaluation() -> None:
    shopper = Shopper("acme", 1, Goal("Buy.", "purchase"))
    ends: tuple[End, ...] = ("done", "left", "left", "limit", "done")
    about = describe_runs([Run(shopper, end, [], 0, None) for end in ends])
    assert about["failed"] == 0.6
    assert about["ends"]["left"] == 2


def test_a_training_is_as_long_as_those_of_the_evaluation() -> None:
    assert {o.default for c in (train, evaluate) for o in c.params if o.name == "epochs"} == {EPOCHS}


def test_events_are_sessions_of_their_own_buyers_in_order_of_time(model: PersonaLlm, tmp_path: Path) -> None:
    visits, _ = go(model)
    events = as_events(visits, model.store("acme"), "acme-simulated")
    write_events(tmp_path / "events.ndjson", [events])
    source = open_events(tmp_path / "events.ndjson", identity=PlainIds())
    assert [event for batch in source.batches() for event in batch] == events
    times = [event.timestamp for event in events]
    assert times == sorted(times)
    assert {event.store for event in events} == {"acme-simulated"}
    acted = {visit.buyer for visit in visits if len(visit.run.steps) > 1}
    assert {event.buyer for event in events} == acted
    for buyer in acted:
        mine = [event.timestamp for event in events if event.buyer == buyer]
        assert np.diff(mine).max(initial=0) < SESSION_GAP_MS
    lasted = [max(t) - min(t) for b in acted if (t := [e.timestamp for e in events if e.buyer == b])]
    assert max(lasted) >= 60_000, "sessions have durations, as those that the dwells came from"


def test_no_event_lies_in_the_future_of_the_model(model: PersonaLlm) -> None:
    visits, _ = go(model)
    starts = [visit.started for visit in visits]
    assert max(starts) - min(starts) < DAY_MS
    assert len(set(starts)) == 40


def test_visits_are_written_and_read_back(model: PersonaLlm, tmp_path: Path) -> None:
    visits, about = go(model)
    save_visits(visits, about, tmp_path / "simulated.parquet")
    assert load_visits(tmp_path / "simulated.parquet") == (visits, json.loads(json.dumps(about)))
    (tmp_path / "other.parquet").write_bytes(b"")
    with pytest.raises(DatasetError, match="holds no simulated sessions"):
        load_visits(tmp_path / "other.parquet")


def test_a_full_disk_leaves_no_sessions(model: PersonaLlm, tmp_path: Path) -> None:
    visits, about = go(model)
    with (
        full_disk(1_000),
        pytest.raises(OutputError, match=r"simulated\.parquet cannot be written"),
    ):
        save_visits(visits, about, tmp_path / "simulated.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_the_model_does_not_know_is_refused(model: PersonaLlm) -> None:
    with pytest.raises(ExportError, match=r"knows no store 'other' \(it has: acme\)"):
        go(model, store="other")


def test_tokens_of_another_codebook_are_refused(
    model: PersonaLlm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMPERSONA_HOME", str(tmp_path))
    other = make_bundle(tmp_path / "bundle", 1, "another")
    reference = (starter_bundle_path() / "reference.json").read_bytes()
    with pytest.raises(CodebookError, match="the tokens are of another, and the registry has no alignment"):
        go(model, _with_reference(other, reference), source="reference")


def _with_reference(bundle: Bundle, reference: bytes) -> Bundle:
    (bundle.folder / "reference.json").write_bytes(reference)
    return bundle


def test_a_model_that_goes_on_from_first_events_cannot_begin(model: PersonaLlm) -> None:
    early = msgspec.structs.replace(model.manifest, config=model.manifest.config | {"kind": "early"})
    with pytest.raises(ExportError, match="train one with --kind before or after"):
        go(model._replace(manifest=early))
