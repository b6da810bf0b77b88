"""Generated clickstream traffic: shops, buyers with latent types, sessions, and how events arrive."""

from ops.traffic.config import MAX_DISORDER_MS, StoreProfile, TrafficConfig
from ops.traffic.errors import TrafficError
from ops.traffic.generator import generate, live_config, truth

__all__ = [
    "MAX_DISORDER_MS",
    "StoreProfile",
    "TrafficConfig",
    "TrafficError",
    "generate",
    "live_config",
    "truth",
]
