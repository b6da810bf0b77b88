"""The parts of the study, known without importing torch."""

from __future__ import annotations

from typing import Final, Literal, get_args

Part = Literal["a", "b", "d", "e", "calibration", "ablations", "scaling"]
PARTS: Final[tuple[Part, ...]] = get_args(Part)
"""Parts of the issue by letter (f stands beside every purity), and what else the report has."""
