"""A plan as values of the chart (deploy/helm/simpersona)."""

from __future__ import annotations

from typing import Any

import msgspec

from ops.planner.constants import CONSTANTS
from ops.planner.plan import COUNTED_STORES, Plan


def chart_values(found: Plan) -> dict[str, Any]:
    """Sizes for `helm install -f`; under `plan` the plan itself, and what it was reckoned with."""
    workers, api = found.workers, found.api
    values: dict[str, Any] = {
        "plan": {
            **msgspec.to_builtins(found),
            "constants": {name: it._asdict() for name, it in CONSTANTS.items()},
        },
        "topics": {"partitions": workers.partitions, "replicas": found.kafka.copies},
        "worker": {
            "replicas": workers.workers,
            "autoscaling": {"minReplicas": workers.workers, "maxReplicas": workers.partitions},
        },
        "api": {
            "replicas": api.pods,
            "processes": 2,
            "autoscaling": {"minReplicas": api.pods, "maxReplicas": api.pods * 2},
        },
        "triton": {"enabled": found.encoder.triton},
    }
    if found.load.stores > COUNTED_STORES:
        values["env"] = {"SIMPERSONA_WINDOW_STORES": int(found.load.stores)}
    return values
