"""Exceptions of the benchmarks. The root and the other branches: feature_store/errors.py.

SimpersonaError
+-- TrialError    a peer ended early or did not reach the finish; its log says why
+-- LoadError     a server answered a load test with something else than what was asked for
"""

from __future__ import annotations

from feature_store.errors import SimpersonaError


class TrialError(SimpersonaError):
    """A peer did not finish."""


class LoadError(SimpersonaError):
    """An answer that should not come under load."""
