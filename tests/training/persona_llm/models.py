"""A persona LLM that was trained for seconds, for tests of what is done with one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from feature_store.contract.events import Event
from inference.bundles.bundle import load_bundle, starter_bundle_path
from tests.training.persona_llm.shops import event, shopping_trip
from training.persona_llm.model.config import LlmConfig, Stage
from training.persona_llm.model.from_traces import make_llm
from training.persona_llm.traces.prepare import prepare

PLAN = (
    Stage(goals="neutral", trainable="tokens", epochs=1, learning_rate=1e-2),
    Stage(goals="explicit", trainable="all", epochs=25, learning_rate=5e-3),
)


def history(buyers: int = 60) -> list[Event]:
    """Half of them buy a lamp, half look at chairs."""
    events = []
    for i in range(buyers):
        chairs = [event("product_view", m, f"looker-{i}", f"p{m}", category="home/chairs") for m in range(5)]
        events += shopping_trip(f"buyer-{i}") + chairs
    return events


def make_model(folder: Path, **changes: Any) -> Path:
    """folder/traces and folder/model, which is returned."""
    prepare(
        [history()], load_bundle(starter_bundle_path()), folder / "traces", sources=["a test"], command="test"
    )
    config = LlmConfig.model_validate({"stages": PLAN, "batch_size": 16, "plans": True} | changes)
    make_llm(folder / "traces", config, folder / "model", command="test")
    return folder / "model"
