"""Names in paths and bodies."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from pydantic import AfterValidator, Field


def _encodable(raw: str) -> str:
    try:
        raw.encode()
    except UnicodeEncodeError:
        raise ValueError("not valid Unicode") from None
    return raw


Store = Annotated[str, Path(description="The shop.", pattern=r"^[A-Za-z0-9._-]{1,64}$", examples=["acme"])]
RawId = Annotated[
    str,
    Field(min_length=1, max_length=1024, description="The shop's own id of the buyer; it is hashed here."),
    AfterValidator(_encodable),
]
Buyer = Annotated[RawId, Path(examples=["4711"])]
