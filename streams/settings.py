"""Settings of the worker, read from the environment (SIMPERSONA_*)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from feature_store.settings import Settings


class WorkerSettings(Settings):
    """What a worker reads, where it writes, and how much it keeps in memory."""

    model_config = SettingsConfigDict(env_prefix="SIMPERSONA_")

    store_url: str = Field(
        "redis://127.0.0.1:6379/0",
        description="online store: redis://, rediss://, unix://, redis+cluster://host,host2, "
        "redis+sentinel://host,host2/name",
    )
    topic: str = Field("clickstream", description="topic of events, key store|buyer, partitioner murmur2")
    assignments_topic: str = Field("persona-assignments", description="topic of assignments, same key")
    dead_letters_topic: str = Field("clickstream-dead-letters", description="topic of refused records")
    erasures_topic: str = Field("simpersona-erasures", description="compacted topic of honoured erasures")
    erasures_keep_days: float = Field(
        30.0,
        description="the archiver trims no erasure before; longer than any backup of the store is kept",
        ge=0,
    )
    control_topic: str = Field("simpersona-control", description="topic of swap, shadow and erase commands")
    keys_topic: str = Field("simpersona-keys", description="compacted topic of the API's keys")
    group: str = Field("simpersona-worker", description="consumer group of the workers")
    group_protocol: Literal["classic", "consumer"] = Field(
        "classic", description="classic (cooperative-sticky) or consumer (KIP-848)"
    )
    instance_id: str | None = Field(
        None, description="static member id, one a worker: a restart inside the session timeout moves nothing"
    )
    session_timeout_ms: int = Field(
        # 6 s is the broker's default minimum: orphaned partitions wait this long after a kill -9
        6_000,
        description="a worker silent for so long loses its partitions (classic groups)",
        ge=1_000,
    )
    batch_events: int = Field(4_000, description="most records folded at once", ge=1)
    batch_wait_ms: int = Field(5, description="how long a micro-batch waits to fill", ge=1)
    checkpoint_ms: int = Field(1_000, description="longest time between two checkpoints", ge=1)
    checkpoint_rows: int = Field(20_000, description="dirty rows that force a checkpoint", ge=1)
    cache_mb: int = Field(256, description="bound of the buyer cache; the oldest clean buyers go first", ge=8)
    allowed_lateness_ms: int = Field(
        30 * 60 * 1000, description="events further behind the buyer's last event are counted late", ge=0
    )
    reencode_share: float = Field(
        0.2, description="share of a worker's time for tagging quiet buyers anew after a swap", gt=0, le=1
    )
    shadow_share: float = Field(
        0.1, description="share of a core's time that comparing a candidate may take", gt=0, le=1
    )
    retry_ms: int = Field(500, description="pause before a failed store, Kafka or encoder is retried", ge=1)
    flush_timeout_s: float = Field(30.0, description="longest wait for Kafka's acknowledgements", gt=0)
    metrics_host: str = Field("127.0.0.1", description="address of /metrics; 0.0.0.0 for a scraper elsewhere")
    metrics_port: int | None = Field(None, description="port of /metrics; unset: none, 0: any free one")
