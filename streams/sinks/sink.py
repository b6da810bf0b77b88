"""What a sink is: two methods, three answers; and the registry, which fills itself.

A module below streams/sinks registers its sink where it defines it. The commands, settings, topics and
documents read this registry and no list of their own. docs/extending.md adds a sink.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

import msgspec
from confluent_kafka import Message

from feature_store.online.assignment import Assignment
from feature_store.settings import Settings
from streams import sinks as room
from streams.errors import SinkError
from streams.sinks.settings import SinkSettings
from streams.sinks.telling import Erased


class Item(NamedTuple):
    """One assignment to deliver, and its record. id: the same whenever this record is delivered again."""

    id: str
    message: Message
    assignment: Assignment


class Taken(msgspec.Struct, frozen=True):
    """The items are theirs."""


class Refused(msgspec.Struct, frozen=True):
    """The items are at fault; the same again would be refused again."""

    why: str


class Busy(msgspec.Struct, frozen=True):
    """Not now, or not known: send the same again, after `wait_s` where they said so."""

    why: str
    wait_s: float | None = None


class Untold(msgspec.Struct, frozen=True):
    """This sink has no way to tell of erasures; the runner says so in log and metrics."""


Answer = Taken | Refused | Busy


class Sink(Protocol):
    """Where assignments go. One call at a time, in any thread."""

    def deliver(self, items: Sequence[Item]) -> Answer:
        """Deliver the items, all or none, and return within seconds.

        Taken only where they are there for good: their offsets are committed then. The same items come again
        after Busy, and may come again after a crash, so their ids are to be kept. Refused items are halved
        until the one at fault is found. A call that has not returned seconds after SIGTERM is left to itself.

        Raises:
            SinkError: nothing can be delivered before somebody changes a setting. The process ends with it;
                nothing is lost.
        """

    def erase(self, erased: Sequence[Erased]) -> Answer | Untold:
        """Tell of erased buyers, as `deliver` delivers: of all or none, again where it is asked for again.

        What was delivered of such a buyer and has a lower `offset` than `before_offset` is void. Nothing of
        that comes after this call.
        """

    def close(self) -> None:
        """Let go of connections and files; also while a delivery that was given up still goes on."""


S = TypeVar("S", bound=SinkSettings)


@dataclass(frozen=True)
class SinkKind(Generic[S]):
    """A kind of sink. settings: a class of SinkSettings and Settings; open makes the sink of them."""

    name: str
    about: str
    settings: type[S]
    open: Callable[[S], Sink]
    """Raises SinkError where the settings do not suffice."""

    def __post_init__(self) -> None:
        if not issubclass(self.settings, Settings):
            raise TypeError(f"{self.settings.__name__} is no class of feature_store.settings.Settings")
        if self.settings.model_fields["dead_letters_topic"].is_required():
            raise TypeError(f"{self.settings.__name__} names no dead_letters_topic")

    @property
    def dead_letters_topic(self) -> str:
        """Its topic of dead letters, unless the environment names another."""
        topic: str = self.settings.model_fields["dead_letters_topic"].default
        return topic


_registered: Final[dict[str, SinkKind[Any]]] = {}


def register(kind: SinkKind[S]) -> SinkKind[S]:
    """Add a kind of sink.

    Raises:
        SinkError: there is another one of its name.
    """
    if kind.name in _registered:
        raise SinkError(f"there are two sinks named {kind.name}: name one of them otherwise")
    _registered[kind.name] = kind
    return kind


@cache
def sinks() -> dict[str, SinkKind[Any]]:
    """Every kind of sink by name, sorted.

    Raises:
        SinkError: two have one name.
    """
    for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
        importlib.import_module(module.name)
    return dict(sorted(_registered.items()))
