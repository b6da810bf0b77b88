"""The recipes of docs/extending.md, put into a copy of the sources."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("feature_store", "inference", "streams", "training", "ops")
_BLOCK = re.compile(
    r"(?m)^`(?P<path>[\w/.]+)` \((?P<how>new|change)\)\n\n```\w+\n(?P<text>.*?)^```$", re.DOTALL
)


def recipe(heading: str) -> dict[str, tuple[str, str]]:
    """File -> ("new" or "change", text) of a section of docs/extending.md."""
    page = (ROOT / "docs" / "extending.md").read_text()
    (section,) = (part for part in page.split("\n## ")[1:] if part.startswith(f"{heading}\n"))
    return {found["path"]: (found["how"], found["text"]) for found in _BLOCK.finditer(section)}


def follow(heading: str, copy: Path) -> list[str]:
    """Make a copy of the sources and do what a section says; the files that it touches."""
    ignored = shutil.ignore_patterns("*.pyc")  # kernels that were compiled (numba's cache) come along
    for room in ROOMS:
        shutil.copytree(ROOT / room, copy / room, copy_function=os.symlink, ignore=ignored)
    touched = recipe(heading)
    for path, (how, text) in touched.items():
        target = copy / path
        if how == "new":
            assert not target.exists(), f"{path} is there already"
            target.write_text(text)
        else:
            changed = _changed(target.read_text(), text, path)
            target.unlink()  # it is a link to the original
            target.write_text(changed)
    return list(touched)


def _changed(source: str, diff: str, path: str) -> str:
    for hunk in diff.split("@@\n"):
        lines = hunk.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] in " -")
        after = "".join(line[1:] for line in lines if line[0] in " +")
        assert source.count(before) == 1, f"docs/extending.md changes what is not in {path}:\n{before}"
        source = source.replace(before, after)
    return source


def environment(copy: Path) -> dict[str, str]:
    """Variables that make Python import the copy."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SIMPERSONA_")}
    return kept | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}


def run(copy: Path, *arguments: str, **variables: str) -> str:
    """Run Python on the copy; what it prints."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env=environment(copy) | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
