"""One room makes the clients of Kafka, and all of them agree where they must."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from feature_store.log.clients import member_config, producer_config
from feature_store.log.producer import Output

ROOT = Path(__file__).resolve().parents[3]
ROOMS = ("feature_store", "inference", "streams", "training", "ops", "bench", "studies")
THE_ROOM = ROOT / "feature_store" / "log"
CLIENTS = {"Consumer", "Producer", "AdminClient", "AIOConsumer", "AIOProducer"}


def made_in(source: str) -> list[str]:
    """Clients that a module makes or hands on to be made: uses of their classes that are not annotations."""
    tree = ast.parse(source)
    names, modules = set[str](), set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("confluent_kafka"):
            names |= {alias.asname or alias.name for alias in node.names if alias.name in CLIENTS}
        elif isinstance(node, ast.Import):
            modules |= {
                alias.asname or "confluent_kafka" for alias in node.names if "confluent" in alias.name
            }
    notes = {id(inner) for note in annotations(tree) for inner in ast.walk(note)}
    used = (node for node in ast.walk(tree) if id(node) not in notes)
    return [ast.unparse(node) for node in used if is_client(node, names, modules)]


def is_client(node: ast.AST, names: set[str], modules: set[str]) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr in CLIENTS and ast.unparse(node).partition(".")[0] in modules
    return isinstance(node, ast.Name) and node.id in names


def annotations(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.AnnAssign, ast.arg)) and node.annotation is not None:
            yield node.annotation
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.returns is not None:
            yield node.returns


def test_clients_of_kafka_are_made_in_one_room() -> None:
    files = [file for room in ROOMS for file in (ROOT / room).rglob("*.py") if THE_ROOM not in file.parents]
    assert len(files) > 200
    made = {str(file.relative_to(ROOT)): found for file in files if (found := made_in(file.read_text()))}
    assert made == {}, "make clients by feature_store.log.clients"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from confluent_kafka import Consumer\nc = Consumer({})", ["Consumer"]),
        ("from confluent_kafka import Producer as P\ndef f(make=P): ...", ["P"]),
        ("import confluent_kafka\nc = confluent_kafka.Producer({})", ["confluent_kafka.Producer"]),
        ("import confluent_kafka.admin as a\nc = a.AdminClient({})", ["a.AdminClient"]),
        ("def f():\n  from confluent_kafka.admin import AdminClient\n  AdminClient({})", ["AdminClient"]),
        ("from confluent_kafka import Consumer\ndef f(c: Consumer) -> list[Consumer]: ...", []),
        ("from other import Consumer\nc = Consumer()", []),
    ],
)
def test_the_rule_sees_a_client_being_made_and_lets_types_be(source: str, found: list[str]) -> None:
    assert made_in(source) == found


def test_every_producer_puts_a_buyer_into_one_partition() -> None:
    seen: list[dict[str, Any]] = []

    def make(settings: dict[str, Any]) -> Any:
        seen.append(settings)

    Output({"bootstrap.servers": "k:1"}, 1.0, make)
    special = producer_config({"bootstrap.servers": "k:1"}, {"linger.ms": 2})
    for settings in (*seen, special):
        assert settings["partitioner"] == "murmur2_random"
        assert settings["enable.idempotence"] is True
    assert special["linger.ms"] == 2


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_member_commits_nothing_by_itself_and_names_what_its_protocol_knows(protocol: str) -> None:
    member = member_config({}, "g", session_ms=6_000, protocol=protocol)
    assert member["enable.auto.commit"] is False
    # With the new protocol the broker decides both; the client refuses them.
    assert ("session.timeout.ms" in member) == (protocol == "classic")
    assert ("partition.assignment.strategy" in member) == (protocol == "classic")
