"""The glossary of docs/concepts.md is kept: its words are there, and the rooms that are done follow them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("feature_store", "inference", "streams", "training", "ops", "bench", "studies", "clients")
TO_COME = (
    "training/persona_llm/agents/chat_agent.py",  # a prompt that published figures were measured with
)
"""Rooms whose words are not settled yet. Whoever settles one takes it out."""
DONE = [
    path
    for room in ROOMS
    for path in sorted((ROOT / room).rglob("*.py"))
    if not str(path.relative_to(ROOT)).startswith(TO_COME)
]
WORDS = (
    "event session store buyer shopper state row vector code token type persona assignment fact forecast "
    "bundle catalogue champion candidate swap shadow run repaired emptied checkpoint progress fence takeover "
    "watermark erasure window profile histogram share"
)
NOT_A_NAME = {"said", "told", "says", "tells"}
PARTS = re.compile(r"[A-Z]?[a-z]+")
COUNTED = (
    "buyer|shopper|store|partition|window|batch|event|record|shard|transaction|agent|row|file|line|vendor|day"
)
PER = f"{COUNTED}|read|second|minute|hour|session|core|request|call|answer|process|code|type"
AMOUNT = rf"one|once|us|ms|CPU|seconds|bytes|\d+|{'|'.join(f'{thing}s' for thing in COUNTED.split('|'))}"
A_FOR_PER = re.compile(rf"\b(?:{AMOUNT}),? an? (?:{PER})\b")
"""As in "one row a buyer" or "us an event"."""


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def identifiers(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=found) | ast.Attribute(attr=found) | ast.arg(arg=found):
                yield found
            case ast.FunctionDef(name=found) | ast.AsyncFunctionDef(name=found) | ast.ClassDef(name=found):
                yield found


def texts(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield " ".join(node.value.split())


def test_the_glossary_has_each_word_once() -> None:
    page = (ROOT / "docs" / "concepts.md").read_text()
    table = page.split("## Glossary", 1)[1].split("\n## ", 1)[0]
    listed = re.findall(r"(?m)^\| ([a-z ]+) \| .+ \|$", table)
    assert len(set(listed)) == len(listed)
    assert set(WORDS.split()) | {"dead letter", "codebook version"} <= set(listed)


@pytest.mark.parametrize("path", DONE, ids=name)
def test_no_name_is_said_or_told(path: Path) -> None:
    for found in identifiers(ast.parse(path.read_text())):
        assert not NOT_A_NAME & set(map(str.lower, PARTS.findall(found))), (
            f"{name(path)} has the name {found}"
        )


@pytest.mark.parametrize("path", DONE, ids=name)
def test_rates_and_groupings_say_per(path: Path) -> None:
    for text in texts(ast.parse(path.read_text())):
        assert (found := A_FOR_PER.search(text)) is None, f"{name(path)}: {found[0]!r}"


def test_the_check_knows_its_patterns() -> None:
    for text in ("one of a buyer's events", "the events of a partition", "a window of a store"):
        assert A_FOR_PER.search(text) is None
    for text in ("one a buyer", "at most 30 a store", "once a window", "partitions a transaction"):
        assert A_FOR_PER.search(text) is not None
