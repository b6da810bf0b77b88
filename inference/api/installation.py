"""What an API process serves: handed in by whoever starts it, since topics and commands are other rooms'."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import APIRouter

from feature_store.contract.erasure import Remainder


@dataclass(frozen=True)
class Installation:
    """One installation of simpersona.

    kafka: connection settings of a confluent-kafka client. remains: when a buyer was erased (ms UTC) -> what
    is left of them; it blocks. swapped_to: a record of the control topic -> the bundle that it puts live, or
    None for any other command. bundle answers until such a record. routers:
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
    routers: Sequence[APIRouter] = ()
