"""Exceptions of the benchmarks.

RaceError     a contestant ended early or did not reach the finish; its log says why
"""

from __future__ import annotations

from feature_store.errors import SimpersonaError


class RaceError(SimpersonaError):
    """A contestant did not finish."""
