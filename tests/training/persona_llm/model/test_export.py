"""The hand-over: transformers alone loads the folder and writes actions; the card says what must be known."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from training.errors import ExportError
from training.persona_llm.model.export import CARD, export_llm, model_card, read_figures
from training.persona_llm.model.folder import load_llm
from training.persona_llm.model.plans import AIMED, WITHIN, plan_line
from training.persona_llm.storefront.actions import ACTIONS

PAGE = Path(__file__).resolve().parents[4] / "docs" / "simulators.md"
EXAMPLES = re.findall(r"(?s)```python\n(.*?)```", PAGE.read_text())
WITHOUT_US = """
import sys
from importlib.abc import MetaPathFinder

class Blocker(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"feature_store", "inference", "streams", "training", "ops"}:
            raise ModuleNotFoundError(f"{name} is blocked", name=name)

sys.meta_path.insert(0, Blocker())
"""


@pytest.fixture(scope="module")
def exported(llm_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "hf"
    export_llm(load_llm(llm_folder), out, None)
    return out


def run(code: str, folder: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.numeric
def test_the_pages_example_writes_what_a_model_knows_with_transformers_alone(exported: Path) -> None:
    """Which of it is a draw: without a grammar, and after so short a training, on no processor the same."""
    (example,) = [code for code in EXAMPLES if "AutoTokenizer" in code]
    written = run(WITHOUT_US + example, exported.parent)
    assert written.endswith("leave\n\n")
    known = "|".join(map(re.escape, (*AIMED, *WITHIN, *(f"{action}\n" for action in ACTIONS))))
    assert re.fullmatch(f"(?:{known})+\n", written), written


def test_the_pages_example_shops_in_the_storefront(llm_folder: Path) -> None:
    (example,) = [code for code in EXAMPLES if "gymnasium" in code]
    root = str(PAGE.parents[1])
    assert "page: home" in run(example + "print(page)", llm_folder.parent, PYTHONPATH=root)


def test_it_holds_no_file_of_ours_and_the_weights_as_they_are(exported: Path, llm_folder: Path) -> None:
    names = {path.name for path in exported.iterdir()}
    assert {"README.md", "generation_config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not names & {"simpersona-llm.json", "stores.json"}
    weights = "model.safetensors"
    assert (exported / weights).read_bytes() == (llm_folder / weights).read_bytes()


def test_the_card_names_data_codebook_licence_and_limits(exported: Path, llm_folder: Path) -> None:
    card = (exported / CARD).read_text()
    manifest = load_llm(llm_folder).manifest
    assert card.startswith("---\nlicense: apache-2.0\n")
    for said in (
        "plan: add, purchase in",
        manifest.codebook_version,
        manifest.traces_sha256,
        manifest.model_version,
        "## Limits",
    ):
        assert said in card
    assert "No evaluation was given" in card
    pattern = re.search(r"(?m)^\(plan: .*\+$", card)
    assert pattern
    answer = plan_line(["home", "leave"]) + "home\nleave\n"
    assert re.fullmatch(pattern[0], answer)
    assert not re.fullmatch(pattern[0], answer.replace("home", "abroad"))
    assert not re.fullmatch(pattern[0], answer.replace("look", "look, add"))


def test_the_card_has_the_figures_of_an_evaluation(llm_folder: Path, tmp_path: Path) -> None:
    ara = {"matched": {"value": 0.861, "low": 0.85, "high": 0.874}}
    path = tmp_path / "evaluation-llm.json"
    path.write_text(json.dumps({"held_out": {"ara": ara}, "device": "a CPU"}))
    card = model_card(load_llm(llm_folder), read_figures(path))
    assert "| held out: ara matched | 0.861 | 0.850 to 0.874 |" in card
    assert "not of this one: `simpersona llm evaluate`, on a CPU." in card


@pytest.mark.parametrize("content", ["", "[]", "{}"])
def test_a_file_without_figures_is_named(llm_folder: Path, tmp_path: Path, content: str) -> None:
    path = tmp_path / "evaluation-llm.json"
    path.write_text(content)
    with pytest.raises(ExportError, match="holds no figures"):
        model_card(load_llm(llm_folder), read_figures(path))


def test_an_export_is_not_written_over(llm_folder: Path, exported: Path) -> None:
    with pytest.raises(ExportError, match="is there already"):
        export_llm(load_llm(llm_folder), exported, None)
