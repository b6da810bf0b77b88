"""The persona LLM on real servers: the loop through Kafka and a worker, and traces without erased buyers."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from feature_store.contract.erasure import Erasure, encode_erasure
from feature_store.contract.events import record_key
from feature_store.history.archive import ArchivedEvent, write_archive_file
from feature_store.log.erasures import ErasureLog
from feature_store.log.producer import Output
from inference.bundles.bundle import load_bundle, starter_bundle_path
from inference.encoders.onnx import OnnxEncoder
from ops.cli.llm.group import llm
from ops.connection import Connection
from ops.errors import LoopError
from ops.llm.loop import LivePath
from tests.inference.made_bundles import make_bundle
from tests.rig import Rig
from tests.training.persona_llm.models import history
from training.persona_llm.agents.agents import Shopper, simulate
from training.persona_llm.agents.loop import loop_figures
from training.persona_llm.model.folder import load_llm
from training.persona_llm.storefront.storefront import Goal
from training.persona_llm.traces.traces import load_traces, make_traces

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
        with pytest.raises(LoopError, match="workers assign codes of"):
            loop_figures(runs[:1], real[:1], other.folder, 0, encode=LivePath(live, "simulated", 120))
        rig.workers[0].kill()
        with pytest.raises(LoopError, match="is one running"):
            loop_figures(runs[:1], real[:1], bundle.folder, 0, encode=LivePath(live, "simulated", 0.5))
    finally:
        erasures.close()


def test_erased_buyers_are_left_out_of_traces(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = rig.folder / "archive"
    archived = [ArchivedEvent(event, 0, i, event.timestamp) for i, event in enumerate(history(10))]
    write_archive_file(archive, rig.settings.topic, 0, 0, len(archived), archived)
    erased = record_key("acme", "buyer-3")
    output = Output(rig.client_config(), 60)
    record = Erasure(partition=0, requested_at=1, erased_at=1, before_offset=len(archived))
    output.send(rig.settings.erasures_topic, erased, encode_erasure(record))
    output.flush()
    for name, value in rig.environment(rig.settings).items():
        monkeypatch.setenv(name, value)

    def buyers(out: str, *options: str) -> set[str]:
        arguments = ["prepare", str(archive), "--out", str(rig.folder / out), *options]
        assert CliRunner().invoke(llm, arguments, catch_exceptions=False).exit_code == 0
        return {trace.buyer for trace in load_traces(rig.folder / out)[0]}

    everybody = buyers("all", "--no-erasures")
    assert len(everybody) == 20
    assert buyers("kept") == everybody - {"buyer-3"}
