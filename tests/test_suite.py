"""Tests wait for what they need to see, and never for a time; those with real processes are documented."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
WAITS = TESTS / "waiting.py"
DOCUMENT = TESTS.parent / "docs" / "testing.md"
SLEEPS = {"sleep", "wait_for_timeout"}
"""Of `time`, `asyncio` and a browser's page."""


def sleeps(source: str) -> list[int]:
    """Lines that let a time pass. `sleep(0)` lets none pass: it yields to other tasks."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return sorted(
        call.lineno
        for call in calls
        if ast.unparse(call.func).rpartition(".")[2] in SLEEPS and list(map(ast.unparse, call.args)) != ["0"]
    )


def test_no_test_sleeps() -> None:
    found = [
        f"{path.relative_to(TESTS)}:{line}"
        for path in sorted(TESTS.rglob("*.py"))
        if path != WAITS
        for line in sleeps(path.read_text())
    ]
    assert not found, f"wait for what must hold (tests/waiting.py): {found}"


@pytest.mark.parametrize("folder", ["faults", "integration", "long"])
def test_every_file_with_real_processes_says_in_the_document_what_it_is_for(folder: str) -> None:
    files = {f"tests/{folder}/{path.name}" for path in (TESTS / folder).glob("test_*.py")}
    named = set(re.findall(rf"`(tests/{folder}/test_\w+\.py)`", DOCUMENT.read_text()))
    assert named == files, "docs/testing.md names each of them, and no other"


def test_every_way_to_sleep_is_seen() -> None:
    source = """
time.sleep(1)
sleep(0.5)
await asyncio.sleep(n)
page.wait_for_timeout(100)
await asyncio.sleep(0)
x.slept(1)
"""
    assert sleeps(source) == [2, 3, 4, 5]
