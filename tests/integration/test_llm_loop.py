"""The loop through real servers: what is sent to Kafka is tagged as the offline fold tags it."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.bundle import load_bundle, starter_bundle_path
from inference.onnx_encoder import OnnxEncoder
from ops.connect import Connection
from ops.errors import LoopError
from ops.llm.loop import LivePath
from streams.erasures import ErasureLog
from tests.inference.bundles import make_bundle
from tests.rig import Rig
from tests.training.persona_llm.models import history
from training.persona_llm.agents import Shopper, simulate
from training.persona_llm.folder import load_llm
from training.persona_llm.loop import loop_figures
from training.persona_llm.storefront import Goal
from training.persona_llm.traces import make_traces

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def test_simulated_and_real_sessions_come_back_as_the_offline_fold_says(rig: Rig, llm_folder: Path) -> None:
    bundle = load_bundle(starter_bundle_path())
    encoder = OnnxEncoder(bundle)
    model = load_llm(llm_folder)
    real = make_traces([history()], lambda vectors: encoder.encode(vectors).code, min_events=3, seed=0)
    crowd = [Shopper("acme", trace.codes["after"], Goal(trace.neutral, None)) for trace in real]
    runs = simulate(model.base, model.stores, crowd, seed=1)
    rig.worker()
    erasures = ErasureLog(rig.client_config(), rig.settings.erasures_topic)
    live = Connection(rig.settings, rig.client_config(), rig.rows, erasures, rig.folder)
    try:
        path = LivePath(live, "simulated", 120)
        tagged = loop_figures(runs, real, bundle.folder, 0, encode=path)
        assert tagged == loop_figures(runs, real, bundle.folder, 0)
        assert path.as_offline == path.sessions == len(runs) + len(real)
        assert path.events == sum(len(one.steps) - (one.actions[-1:] == ["leave"]) for one in [*runs, *real])
        assert tagged["code"]["replay"]["value"] == 1.0
        rig.assert_nothing_lost()

        other = make_bundle(rig.folder / "other", 1, "another")
        with pytest.raises(LoopError, match="workers answer with the codebook"):
            loop_figures(runs[:1], real[:1], other.folder, 0, encode=LivePath(live, "simulated", 120))
        rig.workers[0].kill()
        with pytest.raises(LoopError, match="is one running"):
            loop_figures(runs[:1], real[:1], bundle.folder, 0, encode=LivePath(live, "simulated", 0.5))
    finally:
        erasures.close()
