"""catalogue.json: the codes of a bundle, and the types that group them.

Only the names and codes of types are required, so a bundle without cards loads. Fields that this release
does not know are ignored.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from inference.bundles.facts import Facts, TypesByFact, facts_of_name
from inference.encoders.graph import CODES
from inference.errors import CatalogueError

MIN_SHARED_BY: Final = 5
"""A catalogue shows a session only in a form that at least this many buyers share."""

Code = Annotated[int, msgspec.Meta(ge=0, lt=CODES)]


class ScalarScale(msgspec.Struct, frozen=True, kw_only=True):
    """Mean and deviation of the 16 transformed scalars: the units of a type's centre."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]


class PersonaType(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A named group of codes.

    name is for programs: flags, topics and the API. title, description and rule are for people. share and
    buyers count training buyers. centre (`profile` in the file) is the type's mean in the space in which the
    codes were grouped (training.types.grouping.type_points). radius is how far that mean moves when buyers
    are drawn again. facts: what the type claims of each of its buyers; None in a bundle of feature version 1.
    """

    name: str
    codes: tuple[Code, ...]
    title: str = ""
    description: str = ""
    rule: str = ""
    share: float = 0.0
    buyers: int = 0
    centre: tuple[float, ...] = msgspec.field(default=(), name="profile")
    radius: float = 0.0
    facts: Facts | None = None


class Estimate(msgspec.Struct, frozen=True, array_like=True):
    """A share and its 95 % interval (Wilson 1927)."""

    share: float
    low: float
    high: float


class SessionStep(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """Consecutive events of one type. times (how many) and pause (between them) are ranges in words. They
    are "" if they are left out so that enough buyers share the form."""

    type: str
    times: str = ""
    pause: str = ""


class SessionShape(msgspec.Struct, frozen=True, kw_only=True):
    """A session without ids, products and times: its steps, and how many buyers had the same steps."""

    steps: tuple[SessionStep, ...]
    buyers: int

    def __str__(self) -> str:
        return " > ".join(_step_text(step) for step in self.steps)


class CodeCard(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A description of a code's training buyers. A code without buyers has only code and token.

    funnel: share of each stratum. axes: the buyers' mean percentile among all training buyers, 0 to 100.
    prototype: the session of the buyer nearest to the code's centre. typical: the most common form of
    session. nearest: other codes with buyers, nearest first. status compares with the previous codebook.
    cell: the fact cell (feature_store.fold.funnel) of all its buyers; None in a bundle of feature version 1.
    """

    code: Code
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
    nearest: tuple[Code, ...] = ()


class Catalogue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """catalogue.json. types are in the order of the graph's type index, codes in the order of their numbers.

    buyers and funnel are those of all training buyers.
    """

    types: tuple[PersonaType, ...]
    codes: tuple[CodeCard, ...] = ()
    buyers: int = 0
    funnel: dict[str, Estimate] = {}
    scale: ScalarScale | None = None

    def card(self, code: int) -> CodeCard | None:
        """The card of a code; None if the bundle has none."""
        return next((card for card in self.codes if card.code == code), None)

    def type_of(self, code: int) -> PersonaType | None:
        """The type that a code belongs to; None in a bundle without types."""
        return next((kind for kind in self.types if code in kind.codes), None)

    def require_card(self, code: int) -> CodeCard:
        """The card of a code.

        Raises:
            CatalogueError: the bundle was made without cards, or has no such code.
        """
        card = self.card(code)
        if card is None:
            raise CatalogueError(f"this bundle has no card of code {code}; codes are 0 to {CODES - 1}")
        return card

    def require_type(self, name: str) -> PersonaType:
        """The type with this name.

        Raises:
            CatalogueError: there is no such type; the message names those that exist.
        """
        for kind in self.types:
            if kind.name == name:
                return kind
        known = ", ".join(sorted(kind.name for kind in self.types)) or "none: it was made without types"
        raise CatalogueError(f"this bundle has no type {name!r}; it has {known}")


def types_by_fact(catalogue: Catalogue) -> TypesByFact:
    """The types of a catalogue of feature version 1 by the facts that they claim."""
    return TypesByFact(
        [kind.facts or facts_of_name(kind.name) for kind in catalogue.types],
        [kind.codes for kind in catalogue.types],
        [kind.centre for kind in catalogue.types],
    )


def encode_catalogue(catalogue: Catalogue) -> bytes:
    """The content of catalogue.json: compact, with one line per type and code, so that a diff is readable."""
    about = msgspec.to_builtins(catalogue)
    lines = []
    for name, value in about.items():
        if name in ("types", "codes"):
            rows = ",\n".join(msgspec.json.encode(row).decode() for row in value)
            lines.append(f'"{name}":[\n{rows}\n]')
        else:
            lines.append(f'"{name}":{msgspec.json.encode(value).decode()}')
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def _step_text(step: SessionStep) -> str:
    kind = step.type.replace("_", " ")
    times = f"{step.times} x " if step.times not in ("", "1") else ""
    return f"{times}{kind}" + (f" ({step.pause} apart)" if step.pause else "")
