"""What is known of a source beside its payloads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from typing import Final, Literal

DecimalSign = Literal[".", ","]


@dataclass(frozen=True)
class Context:
    """How the values of a source are to be read.

    decimal: its decimal sign, None: unknown, so that "1.299" has two readings. zone: of times that name
    none, None: such times are refused. received_ms: when the payload arrived over HTTP, None in files.
    """

    decimal: DecimalSign | None = None
    zone: tzinfo | None = None
    received_ms: int | None = None


NO_CONTEXT: Final = Context()
