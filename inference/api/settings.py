"""Settings of the persona API, read from the environment (SIMPERSONA_API_*)."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from feature_store.settings import Settings


class ApiSettings(Settings):
    """Where the API listens, what it accepts, and how much of it at once."""

    model_config = SettingsConfigDict(env_prefix="SIMPERSONA_API_")

    host: str = Field("127.0.0.1", description="address; 0.0.0.0 for clients elsewhere")
    port: int = Field(8080, description="port; 0: any free one", ge=0, le=65_535)
    processes: int | None = Field(
        None,
        description="processes that share the port; unset: one per core that this process may use",
        ge=1,
        le=512,
    )
    hung_s: float = Field(
        20.0,
        description="one of several processes that does nothing for so long is killed and started again",
        gt=0,
    )
    tls_certificate: Path | None = Field(None, description="PEM file of the certificate chain; unset: no TLS")
    tls_key: Path | None = Field(None, description="PEM file of the certificate's key")
    cors_origins: tuple[str, ...] = Field(
        (), description='origins whose pages may call, as JSON: ["https://shop.example"]; for browser pixels'
    )
    max_body_bytes: int = Field(1 << 20, description="largest request body as sent, gzip or not", ge=1024)
    max_unpacked_bytes: int = Field(8 << 20, description="largest gzip body unpacked", ge=1024)
    max_gzip_members: int = Field(32, description="most members of a gzip body", ge=1)
    max_items: int = Field(2_000, description="most events or buyers per request", ge=1)
    max_json_values: int = Field(500_000, description="most names and values in the JSON of a body", ge=100)
    max_item_values: int = Field(10_000, description="most names and values in the JSON of one item", ge=100)
    max_json_depth: int = Field(64, description="deepest nesting of a body's JSON", ge=8)
    max_event_age_days: float = Field(
        365.0, description="how old an event may be that is sent to the collector", gt=0, le=1_000_000
    )
    header_s: float = Field(
        10.0, description="longest wait for a whole request head, from its first byte", gt=0
    )
    body_s: float = Field(30.0, description="longest wait for a whole request body", gt=0)
    idle_s: int = Field(5, description="how long a connection may rest between two requests", ge=1)
    write_s: float = Field(
        30.0, description="a reader that takes nothing of an answer for so long is cut off", gt=0
    )
    connections: int = Field(
        4_000,
        description="most connections of this process; one more ends the one that says nothing for longest",
        ge=10,
    )
    requests_per_store: int = Field(
        200, description="most requests under way of one store in this process, streams not counted", ge=1
    )
    body_bytes_per_store: int = Field(
        32 << 20, description="most memory of bodies under way of one store in this process, as sent", ge=1024
    )
    ack_timeout_s: float = Field(10.0, description="longest wait for Kafka's acknowledgement of events", gt=0)
    queue_events: int = Field(
        50_000, description="most events waiting for Kafka; more are answered 429", ge=100
    )
    stalled_s: float = Field(
        3.0, description="Kafka acknowledges nothing for so long: new events are answered 503 at once", gt=0
    )
    rate: float = Field(
        500.0, description="tokens per second of a key made without --rate (docs/feeds.md)", gt=0
    )
    burst: float = Field(5_000.0, description="most tokens of a key made without --burst", ge=1)
    erase_cost: float = Field(50.0, description="tokens that an erasure costs", ge=1)
    erasures_pending: int = Field(
        10_000, description="most erasures of a store that wait for a worker; more are answered 429", ge=1
    )
    heartbeat_s: float = Field(15.0, description="a silent stream says that it lives so often", gt=0)
    stream_buffer: int = Field(
        1_000, description="assignments that wait for a slow reader of a stream before it is closed", ge=1
    )
    streams: int = Field(1_000, description="most open streams of this process", ge=1)
    streams_per_store: int = Field(50, description="most open streams of one store in this process", ge=1)
    resume_records: int = Field(
        200_000, description="how many assignments, of all stores, a resumed stream reads again at most", ge=0
    )
    resume_s: float = Field(
        120.0, description="a resumed stream that takes longer to catch up goes on from its id later", gt=0
    )
    persona_ttl_days: float | None = Field(
        None, description="a buyer without an event for so long is answered as expired; unset: never", gt=0
    )
    distribution_minutes: float = Field(60.0, description="event time that p_s(k) now is counted over", gt=0)
    history_records: int = Field(
        1_000_000,
        description="records of topics, not archived yet, that looking back at a buyer reads at most",
        ge=0,
    )
    grace_s: float = Field(15.0, description="after SIGTERM, how long answers may take", gt=0)

    @model_validator(mode="after")
    def _tls_whole(self) -> ApiSettings:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("TLS needs both SIMPERSONA_API_TLS_CERTIFICATE and SIMPERSONA_API_TLS_KEY")
        return self
