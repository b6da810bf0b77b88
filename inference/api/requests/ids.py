"""Names in paths and bodies."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query
from pydantic import AfterValidator, Field

from feature_store.contract.names import NAME_CHARS, NAME_PATTERN


def _encodable(raw: str) -> str:
    try:
        raw.encode()
    except UnicodeEncodeError:
        raise ValueError("not valid Unicode") from None
    return raw


StoreName = Annotated[str, Field(pattern=NAME_PATTERN.replace(r"\Z", "$"), max_length=NAME_CHARS)]
r"""In pydantic's regular expressions $ is the very end, and \Z is not known."""
Store = Annotated[StoreName, Path(description="The shop.", examples=["acme"])]
RawId = Annotated[
    str,
    Field(min_length=1, max_length=1024, description="The shop's own id of the buyer; it is hashed here."),
    AfterValidator(_encodable),
]
Pseudonym = Annotated[
    bool, Query(description="`buyer` is the pseudonym, as assignments have it, not the shop's own id.")
]
Buyer = Annotated[RawId, Path(examples=["4711"])]
