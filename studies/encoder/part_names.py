"""The parts of the study, known without importing torch."""

from __future__ import annotations

from typing import Final, Literal, get_args

Useful = Literal["useful", "time"]
Check = Literal["a", "b", "e", "calibration", "ablations", "scaling"]
Part = Useful | Check
CHECKS: Final[tuple[Check, ...]] = get_args(Check)
"""The sanity checks: the paper's parts by letter (f stands beside every purity), and others."""
PARTS: Final[tuple[Part, ...]] = (*get_args(Useful), *CHECKS)
"""What the report has: usefulness and truth first, on other buyers and on later sessions."""
