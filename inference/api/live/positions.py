"""The id of an event of a stream: the next offset of every partition, so that a reader can go on from it.

"1a-0-ff"    next offsets 26, 0 and 255 of partitions 0, 1 and 2, in hexadecimal
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_FORM: Final = re.compile(r"[0-9a-f]{1,15}(-[0-9a-f]{1,15})*")


def encode_positions(positions: Sequence[int]) -> str:
    """Offsets as an id."""
    return "-".join(f"{offset:x}" for offset in positions)


def decode_positions(sent: str, partitions: int) -> list[int] | None:
    """The offsets of an id; None if it is not one, or of a topic with another number of partitions."""
    if not _FORM.fullmatch(sent) or sent.count("-") != partitions - 1:
        return None
    return [int(offset, 16) for offset in sent.split("-")]
