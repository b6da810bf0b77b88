"""Who runs: how each peer is started, on which events, and in which environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]


@dataclass(frozen=True)
class Peer:
    """One entrant.

    command: what follows the interpreter. environment: added to what every peer is told.
    requirements: the pin set of its own virtual environment; None runs in this one.
    share: the part of the comparison's events it is given, for what takes minutes over all of them.
    """

    name: str
    title: str
    command: tuple[str, ...]
    share: float
    requirements: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def _script(name: str) -> str:
    return str(HERE / "programs" / name)


OURS: Final = Peer("ours", "simpersona worker", ("-m", "ops.cli.main", "worker"), 1.0)
PEERS: Final = (
    Peer("bytewax", "Bytewax, stateful", (_script("bytewax_flow.py"),), 1.0, "bench-bytewax"),
    Peer("quix", "Quix Streams, stateful", (_script("quix_app.py"),), 0.1, "bench-quix"),
    Peer(
        "faust-take",
        "stock Faust agent, take(1000), Feast push of a frame",
        (_script("faust_feast.py"), "worker", "--loglevel=WARN"),
        0.05,
        environment={"RACE_TAKE": "1000"},
    ),
    Peer(
        "faust",
        "stock Faust agent, Feast push per event",
        (_script("faust_feast.py"), "worker", "--loglevel=WARN"),
        0.005,
    ),
)
