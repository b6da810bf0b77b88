"""Exceptions of the traffic generator. The root and the other branches: feature_store/errors.py.

OpsError (ops.errors)
+-- TrafficError     the parameters describe no traffic, or a file cannot be written as asked
"""

from __future__ import annotations

from ops.errors import OpsError


class TrafficError(OpsError):
    """Traffic cannot be generated from these parameters."""
