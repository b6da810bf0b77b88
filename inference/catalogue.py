"""catalogue.json: what a bundle says of its codes and of the types that they make up.

Everything but names and codes is optional, so that a starter bundle without cards loads, and fields
that this release does not know are passed over.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from inference.graph import CODES

Code = Annotated[int, msgspec.Meta(ge=0, lt=CODES)]


class ProfileScale(msgspec.Struct, frozen=True, kw_only=True):
    """Mean and deviation of the 16 transformed scalars, in whose units the profiles of types are told."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]


class PersonaType(msgspec.Struct, frozen=True, kw_only=True):
    """A named group of codes.

    name is what flags, topics and the API say; title, description and rule are for people. share and
    buyers are of the training buyers. profile is the type's mean in the space that grouped the codes
    (training.types.profile_points), radius how far it moves there when the buyers are drawn again.
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


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """catalogue.json. types are in the order of the graph's type index."""

    types: tuple[PersonaType, ...]
    scale: ProfileScale | None = None
