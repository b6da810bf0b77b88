"""The parts of the evaluation, known without importing torch."""

from __future__ import annotations

from typing import Final, Literal, get_args

Part = Literal["in_store", "held_out", "prediction", "goals", "profile", "ablations", "loop"]
PARTS: Final[tuple[Part, ...]] = get_args(Part)
