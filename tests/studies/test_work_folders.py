"""Work folders of before are read: the names of results are those of release 0.1.0."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np

from studies.encoder.runs import Run
from studies.encoder.runs import Runs as EncoderRuns
from studies.persona_llm.judged_sessions import Material
from studies.persona_llm.plan import Fit, Likelihood, Play
from studies.persona_llm.runs import Runs as LlmRuns
from studies.sealed_test import Choice
from tests.training.conftest import whole_histories
from training.evaluation.points import Points

FIT = Fit(seed=1, held_out="acme", config={"plans": True})


def test_results_of_the_encoders_study_have_the_names_they_had(tmp_path: Path) -> None:
    data = whole_histories(
        [("acme", "a"), ("acme", "b")], np.arange(2 * 403, dtype=np.float32).reshape(2, 403)
    )
    points = Points(data, ("acme",), np.zeros(2, np.int64), np.array([0, 2]))
    runs = EncoderRuns(tmp_path, {"full": points})
    changed = Run(kind="model", seed=1, held_out="acme", config={"level_scale": 0.5})
    assert runs.path(Run(kind="lloyd")) == tmp_path / "4119f9238a6f85927cd6f3cb.npz"
    assert runs.path(changed) == tmp_path / "56084b360489af85cc85ae4d.npz"
    assert runs.path(Run(kind="lloyd", seed=1)) != runs.path(Run(kind="lloyd"))


def test_results_of_the_persona_llms_study_have_the_names_they_had(tmp_path: Path) -> None:
    class Sessions:
        digest = "0" * 24

    material: Any = Sessions()
    runs = LlmRuns(cast(Material, material), {"epochs": 3}, tmp_path, Choice(tmp_path / "choice.json"))
    assert runs.path(FIT) == tmp_path / "27503c8931b83e244aba724b.bin"
    assert runs.path(Play(fit=FIT, draws=2)) == tmp_path / "28b2b368ebb65c254253cd86.bin"
    assert runs.path(Likelihood(fit=FIT)) == tmp_path / "7b0e91f2c518d19269e1f7d4.bin"
