"""The Makefile explains itself."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def targets() -> set[str]:
    """What a person may ask for: everything declared phony."""
    phony = re.findall(r"(?m)^\.PHONY: (.+)$", (ROOT / "Makefile").read_text())
    return set(" ".join(phony).split())


def make(*arguments: str) -> str:
    done = subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def test_help_lists_every_target() -> None:
    assert set(re.findall(r"(?m)^  make ([a-z-]+)\s+\S", make("help"))) == targets()


def test_help_is_what_plain_make_says() -> None:
    assert make() == make("help")


def test_every_target_is_phony() -> None:
    """A file of that name in the root would otherwise turn the target off."""
    named = re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text())
    assert set(named) == targets()


def test_the_readme_names_real_targets() -> None:
    asked = re.findall(r"(?:^|`)make ([a-z-]+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert {"demo", "test"} <= set(asked) <= targets()
