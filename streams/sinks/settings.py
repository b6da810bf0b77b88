"""What every sink's settings hold; each sink's class adds its own, a group and a topic of dead letters."""

from __future__ import annotations

from pydantic import BaseModel, Field


class SinkSettings(BaseModel):
    """Whose assignments are delivered, how many at once, and what happens meanwhile."""

    group: str
    dead_letters_topic: str
    stores: tuple[str, ...] = Field(
        (), description='whose assignments to deliver, as JSON: ["acme"]; unset: all stores\''
    )
    batch_items: int = Field(100, description="most assignments per request", ge=1, le=2_000)
    linger_ms: int = Field(200, description="how long a request waits to fill", ge=1)
    backoff_s: float = Field(60.0, description="longest pause between tries, which go on for ever", gt=0)
    metrics_host: str = Field("127.0.0.1", description="address of /metrics; 0.0.0.0 for a scraper elsewhere")
    metrics_port: int | None = Field(None, description="port of /metrics; unset: none, 0: any free one")
