"""The tree of exceptions is drawn once and as it is, and every exception has a name of its own."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("feature_store", "inference", "streams", "training", "ops", "bench", "studies", "clients")
SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
DRAWINGS = [path for path in SOURCES if path.name in ("errors.py", "_errors.py")]
ROOT_DRAWING = ROOT / "feature_store" / "errors.py"
BRANCH = re.compile(r"^((?:\|   |    )*)\+-- (\w+)")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def defined(path: Path) -> dict[str, str]:
    """Class -> its first base, of the exceptions of a file."""
    found = {}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef) and node.name.endswith("Error"):
            found[node.name] = ast.unparse(node.bases[0])
    return found


def drawn(path: Path) -> dict[str, str]:
    """Class -> its base, as the docstring draws them; the root of the drawing has none."""
    above: list[str] = []
    found = {}
    for line in (ast.get_docstring(ast.parse(path.read_text())) or "").splitlines():
        if (branch := BRANCH.match(line)) is not None:
            depth = len(branch[1]) // 4 + 1
            above = [*above[:depth], branch[2]]
            found[branch[2]] = above[depth - 1]
        elif (root := re.match(r"^(\w+Error)\b", line)) is not None:
            above = [root[1]]
            found[root[1]] = ""
    return found


@pytest.mark.parametrize("path", DRAWINGS, ids=name)
def test_a_room_draws_its_own_branch(path: Path) -> None:
    classes, tree = defined(path), drawn(path)
    roots = {found for found, base in tree.items() if not base}
    assert len(roots) == 1, "a drawing has one root"
    assert classes.keys() <= tree.keys(), "an exception of the file is missing in the drawing"
    assert tree.keys() - classes.keys() <= roots, "the drawing shows an exception of another file"
    for found, base in tree.items():
        assert not base or classes[found] == base, f"{found} is drawn below {base}"


def test_every_branch_is_named_beside_the_root() -> None:
    text = ROOT_DRAWING.read_text()
    for path in DRAWINGS:
        assert path == ROOT_DRAWING or name(path) in text, (
            f"{name(path)} is not named in {name(ROOT_DRAWING)}"
        )


def test_no_exception_is_drawn_twice() -> None:
    children = Counter(found for path in DRAWINGS for found, base in drawn(path).items() if base)
    assert [found for found, times in children.items() if times > 1] == []


def test_exceptions_have_names_of_their_own() -> None:
    names = Counter(found for path in SOURCES for found in defined(path))
    assert [found for found, times in names.items() if times > 1] == []
