"""What requests cost, in tokens of their key's bucket (docs/feeds.md, "What a request costs").

A request passes while its key has one token and pays what it turned out to cost, into debt if need be: what
was refused is paid for too, since reading it was the work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

REQUEST: Final = 1
BYTES_PER_TOKEN: Final = 4_096
"""Of a body, unpacked."""
SAMPLES_PER_TOKEN: Final = 100
CATALOGUE: Final = 10
"""All cards of a codebook."""
COUNTS: Final = 5
"""Windows of counts, read and added up."""
DRIFT: Final = 10
"""A store's history against the reference."""
REFUSED: Final = 20
"""Dead letters, read from Kafka."""
HISTORY: Final = 50
"""A buyer's log, read from archive and Kafka, folded and encoded again."""


@dataclass
class Meter:
    """What a body turned out to be, noted while it is read."""

    bytes: int = 0
    items: int = 0

    @property
    def tokens(self) -> float:
        """What the body costs beyond the request itself: by its items or its size, whichever is more."""
        return max(0.0, max(self.items, self.bytes / BYTES_PER_TOKEN) - REQUEST)
