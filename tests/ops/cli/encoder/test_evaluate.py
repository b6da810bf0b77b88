from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from ops.cli.main import simpersona
from training.errors import EvaluationError


def test_evaluate_judges_the_bundle_of_the_package(tmp_path: Path) -> None:
    traffic = tmp_path / "traffic.parquet"
    run = CliRunner().invoke
    sized = ["--buyers", "2500", "--seed", "5", "--out", str(traffic)]
    assert run(simpersona, ["events", "generate", *sized]).exit_code == 0
    result = run(simpersona, ["evaluate", "inference/starter_bundle", str(traffic), "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert 0.5 < report["figures"]["bundle"]["purity"]["mean"] <= 1
    assert report["figures"]["bundle"]["perplexity"]["mean"] > 20
    shown = run(simpersona, ["evaluate", "inference/starter_bundle", str(traffic)])
    assert "buyers judged" in shown.output


def test_evaluate_says_when_there_are_too_few_buyers(tmp_path: Path) -> None:
    traffic = tmp_path / "traffic.parquet"
    run = CliRunner().invoke
    run(simpersona, ["events", "generate", "--buyers", "300", "--seed", "5", "--out", str(traffic)])
    result = run(simpersona, ["evaluate", "inference/starter_bundle", str(traffic)])
    assert isinstance(result.exception, EvaluationError)
    assert "too few to judge" in str(result.exception)
