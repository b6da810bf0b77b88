"""catalogue.json: what a bundle says of its codes and of the types that they make up.

Everything but the names and codes of types is optional, so that a bundle without cards loads, and
fields that this release does not know are passed over.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from inference.encoders.graph import CODES
from inference.errors import CatalogueError

MIN_SHARED_BY: Final = 5
"""A session is shown in a catalogue only in a form that so many buyers or more have in common."""

Code = Annotated[int, msgspec.Meta(ge=0, lt=CODES)]


class ProfileScale(msgspec.Struct, frozen=True, kw_only=True):
    """Mean and deviation of the 16 transformed scalars, in whose units the profiles of types are told."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]


class PersonaType(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A named group of codes.

    name is what flags, topics and the API say; title, description and rule are for people. share and
    buyers are of the training buyers. profile is the type's mean in the space that grouped the codes
    (training.types.grouping.profile_points), radius how far it moves there when the buyers are drawn again.
    """

    name: str
    codes: tuple[Code, ...]
    title: str = ""
    description: str = ""
    rule: str = ""
    share: float = 0.0
    buyers: int = 0
    profile: tuple[float, ...] = ()
    radius: float = 0.0


class Estimate(msgspec.Struct, frozen=True, array_like=True):
    """A share and its 95 % interval (Wilson 1927)."""

    share: float
    low: float
    high: float


class Step(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """Events of one type in a row: how many, and the pause between them, both as ranges in words; "" where
    they are left out so that enough buyers share the form."""

    type: str
    times: str = ""
    pause: str = ""


class SessionShape(msgspec.Struct, frozen=True, kw_only=True):
    """A session without ids, products and times: the steps, and how many buyers were seen with the same."""

    steps: tuple[Step, ...]
    buyers: int

    def __str__(self) -> str:
        return " > ".join(_said(step) for step in self.steps)


class CodeCard(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a code's training buyers are like; only code and token are there for a code without buyers.

    funnel: share of each stratum; axes: the buyers' mean percentile among all training buyers (0 to 100);
    prototype: the session of the buyer nearest the code's centre; typical: the form most common in
    it; nearest: codes with buyers, nearest first. status compares with the codebook before.
    """

    code: Code
    token: str
    type: str | None = None
    share: float = 0.0
    buyers: int = 0
    status: str | None = None
    funnel: dict[str, Estimate] = {}
    axes: dict[str, int] = {}
    typical: SessionShape | None = None
    prototype: SessionShape | None = None
    nearest: tuple[Code, ...] = ()


class Catalogue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """catalogue.json. types are in the order of the graph's type index, codes in that of their numbers.

    buyers and funnel are of all training buyers.
    """

    types: tuple[PersonaType, ...]
    codes: tuple[CodeCard, ...] = ()
    buyers: int = 0
    funnel: dict[str, Estimate] = {}
    scale: ProfileScale | None = None

    def card(self, code: int) -> CodeCard | None:
        """The card of a code, or None where the bundle has none."""
        return next((card for card in self.codes if card.code == code), None)

    def type_of(self, code: int) -> PersonaType | None:
        """The type that a code belongs to, or None in a bundle without types."""
        return next((kind for kind in self.types if code in kind.codes), None)

    def require_card(self, code: int) -> CodeCard:
        """The card of a code.

        Raises:
            CatalogueError: the bundle was made without cards, or the code is none of its codes.
        """
        card = self.card(code)
        if card is None:
            raise CatalogueError(f"this bundle has no card of code {code}; codes are 0 to {CODES - 1}")
        return card

    def require_type(self, name: str) -> PersonaType:
        """The type of this name.

        Raises:
            CatalogueError: there is none; the message names those that are.
        """
        for kind in self.types:
            if kind.name == name:
                return kind
        known = ", ".join(sorted(kind.name for kind in self.types)) or "none: it was made without types"
        raise CatalogueError(f"this bundle has no type {name!r}; it has {known}")


def encode_catalogue(catalogue: Catalogue) -> bytes:
    """catalogue.json's content: compact, with a line for each type and code, so that a diff can be read."""
    about = msgspec.to_builtins(catalogue)
    lines = []
    for name, value in about.items():
        if name in ("types", "codes"):
            rows = ",\n".join(msgspec.json.encode(row).decode() for row in value)
            lines.append(f'"{name}":[\n{rows}\n]')
        else:
            lines.append(f'"{name}":{msgspec.json.encode(value).decode()}')
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def _said(step: Step) -> str:
    kind = step.type.replace("_", " ")
    times = f"{step.times} x " if step.times not in ("", "1") else ""
    return f"{times}{kind}" + (f" ({step.pause} apart)" if step.pause else "")
