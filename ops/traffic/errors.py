"""Exceptions of the traffic generator.

OpsError (ops.errors)
+-- TrafficError     the parameters describe no traffic, or a file cannot be written as asked
"""

from __future__ import annotations

from ops.errors import OpsError


class TrafficError(OpsError):
    """Traffic cannot be generated from these parameters."""
