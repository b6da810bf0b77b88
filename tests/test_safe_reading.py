"""Nothing is unpickled: compose shares the data folder with processes that face the network."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("feature_store", "inference", "streams", "training", "ops", "studies", "clients")
RUNS_WHAT_IT_READS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "pandas"}
FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def options(tree: ast.AST, *functions: str) -> Iterator[dict[str, object]]:
    """The constant options of each call of module.function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in functions:
            given = {option.arg: option.value for option in node.keywords if option.arg}
            yield {name: value.value for name, value in given.items() if isinstance(value, ast.Constant)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_of_ours_runs_what_it_reads(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert not RUNS_WHAT_IT_READS & set(imported(tree))
    for given in options(tree, "torch.load"):
        assert given.get("weights_only") is True
    for given in options(tree, "np.load", "numpy.load"):
        assert not given.get("allow_pickle")
    assert not list(options(tree, "yaml.load", "yaml.unsafe_load", "yaml.full_load"))
