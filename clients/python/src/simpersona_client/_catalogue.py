"""The catalogue: what codes and types mean. docs/personas.md explains the fields of a card."""

from __future__ import annotations

from typing import Literal

import msgspec


class TypeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a type claims of each of its buyers; None where it claims nothing."""

    depth: Literal["none", "carted", "checkout", "bought"] | None = None
    visits: Literal["new", "returning"] | None = None


class PersonaType(msgspec.Struct, frozen=True, kw_only=True):
    """A named group of codes.

    name is what flags, topics and the API use; title, description and rule are for people. share and buyers
    are of the training buyers. profile: the type's mean in the space that grouped the codes; radius: how far
    it moves there when the buyers are drawn again. facts: what it claims; None in a codebook of an earlier
    release.
    """

    name: str
    codes: tuple[int, ...]
    title: str = ""
    description: str = ""
    rule: str = ""
    share: float = 0.0
    buyers: int = 0
    profile: tuple[float, ...] = ()
    radius: float = 0.0
    facts: TypeFacts | None = None


class Estimate(msgspec.Struct, frozen=True, array_like=True):
    """A share and its 95 % interval."""

    share: float
    low: float
    high: float


class Step(msgspec.Struct, frozen=True, array_like=True):
    """Events of one type in a row: how many, and the pause between them, as ranges in words, or ""."""

    type: str
    times: str = ""
    pause: str = ""

    def __str__(self) -> str:
        times = f"{self.times} x " if self.times not in ("", "1") else ""
        pause = f" ({self.pause} apart)" if self.pause else ""
        return times + self.type.replace("_", " ") + pause


class SessionShape(msgspec.Struct, frozen=True, kw_only=True):
    """A session without ids, products and times, and how many buyers had the same."""

    steps: tuple[Step, ...]
    buyers: int

    def __str__(self) -> str:
        return " > ".join(str(step) for step in self.steps)


class CodeCard(msgspec.Struct, frozen=True, kw_only=True):
    """The training buyers of a code; a code without buyers has only code and token.

    funnel: share of each stratum, A to D. axes: the buyers' mean percentile among all training buyers, 0 to
    100. typical: the most common form of a session. prototype: the session nearest the code's centre.
    nearest: codes with buyers, nearest first. status: compared with the codebook before. cell: 2 * depth +
    visits of all its buyers (TypeFacts, in their order); None in a codebook of an earlier release.
    """

    code: int
    token: str
    type: str | None = None
    share: float = 0.0
    buyers: int = 0
    status: str | None = None
    cell: int | None = None
    funnel: dict[str, Estimate] = {}
    axes: dict[str, int] = {}
    typical: SessionShape | None = None
    prototype: SessionShape | None = None
    nearest: tuple[int, ...] = ()


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """The types of the codebook that answers, and a card per code in the order of codes."""

    codebook_version: str
    types: tuple[PersonaType, ...]
    personas: tuple[CodeCard, ...]
