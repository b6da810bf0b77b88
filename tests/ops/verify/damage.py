"""How a store is damaged: a mutation, and what mutations of every kind of row use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, get_args

import numpy as np

from feature_store.online.assignment import Reason
from tests.ops.verify.live import Live

NUMBER: Final = 0
"""The partition that is damaged."""


class Mutation(NamedTuple):
    """One damage: its name, what verify must name, and what does it to a store."""

    name: str
    named: str
    damage: Callable[[Live], None]


def name_of(live: Live, rest: bytes) -> bytes:
    """A key of the damaged partition."""
    return f"{{{live.topic}:{NUMBER}}}:".encode() + rest


def keys(live: Live, kind: bytes) -> list[bytes]:
    """All keys of a kind in the damaged partition, in order."""
    return sorted(live.client.scan_iter(match=name_of(live, kind).replace(b"[", b"\\[") + b"*", count=10_000))


def another(value: Any, name: str) -> Any:
    """A value of the same type that is not the same."""
    if name == "reason":
        return next(reason for reason in get_args(Reason) if reason != value)
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case float():
            return float(np.nextafter(value, 2 * value + 1))
        case str():
            return value + "x"
        case None:
            return "x" if name in ("type", "forecast") else 0.5
    raise AssertionError(f"say how to change {name}, a {type(value).__name__}")


def get(live: Live, key: bytes) -> bytes:
    row: bytes | None = live.client.get(key)  # type: ignore[assignment]
    assert row is not None
    return row


def setting(rest: bytes, value: bytes) -> Callable[[Live], None]:
    def damage(live: Live) -> None:
        live.client.set(name_of(live, rest), value)

    return damage


def delete(live: Live, names: list[bytes]) -> None:
    assert live.client.delete(*names) == len(names)


def copy(live: Live, kind: bytes) -> None:
    key = keys(live, kind)[0]
    store = key[len(name_of(live, kind)) :].partition(b"|")[0]
    live.client.set(name_of(live, kind + store + b"|nobody"), get(live, key))
