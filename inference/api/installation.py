"""What an API process serves: handed in by whoever starts it, since topics and commands are other rooms'."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import APIRouter

from feature_store.contract.erasure import Erasure, Remainder

Look = Callable[[str, Sequence[str], Mapping[bytes, Erasure], str | None], dict[str, Any]]
"""(store, a buyer's names in events, erasures by Kafka key, a moment as text or None for now) -> an answer
for JSON. It blocks. Raises ProblemError, TopicError, EventSourceError, OnlineStoreError."""


@dataclass(frozen=True)
class History:
    """Answers about one buyer, made from the log: what was assigned at a moment, why, and all of it."""

    as_of: Look
    why: Look
    report: Look


@dataclass(frozen=True)
class Installation:
    """One installation of simpersona.

    kafka: connection settings of a confluent-kafka client. remains: when a buyer was erased (ms UTC) -> what
    is left of them; it blocks. swapped_to: a record of the control topic -> the bundle that it puts live, or
    None for any other command. history: answers from the log. bundle answers until such a record. routers:
    what is served beside the API's own routes; their lifespans begin after the API's clients are open.
    """

    kafka: Mapping[str, Any]
    store_url: str
    topic: str
    assignments_topic: str
    erasures_topic: str
    control_topic: str
    keys_topic: str
    home: Path
    bundle: Path
    remains: Callable[[int], Sequence[Remainder]]
    swapped_to: Callable[[bytes], Path | None]
    history: History
    routers: Sequence[APIRouter] = ()
