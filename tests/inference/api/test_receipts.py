"""What the collector answers of values that it did not take as they were sent."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from prometheus_client import generate_latest

from feature_store.contract.events import Event
from tests.feature_store.sources.ingest_cases.doors import app_that_keeps
from tests.inference.api.doors import Call


def test_the_answer_and_the_metrics_tell_of_them_and_nothing_else_does(tmp_path: Path) -> None:
    sent: list[Event] = []
    app = app_that_keeps(tmp_path, sent)
    plain = {"event_id": "e1", "buyer": "b", "type": "add_to_cart", "timestamp": time.time_ns() // 1_000_000}

    def answer(*events: dict[str, Any]) -> dict[str, Any]:
        call = Call("POST", "/v1/events", "acme/writer", json.dumps(events).encode())
        asyncio.run(call.to(app))
        assert call.status == 202
        return dict(json.loads(call.body))

    assert answer(plain) == {"accepted": 1, "skipped": {}, "errors": []}
    told = answer(plain | {"price": "1,299.00"}, plain | {"price": "2,500.00", "brand": True}, plain)
    assert told == {
        "accepted": 3,
        "skipped": {},
        "errors": [],
        "repaired": {"price": {"thousands_separator": {"count": 2, "form": "9,999.99"}}},
        "emptied": {"brand": {"not_text": {"count": 1, "form": "aaaa"}}},
    }
    assert [event.price for event in sent] == [None, 1299.0, 2500.0, None]
    shown = generate_latest(app.state.api.metrics.registry).decode()
    labels = 'field="price",outcome="repaired",reason="thousands_separator",source="contract"'
    assert f"simpersona_api_fields_total{{{labels}}} 2.0" in shown
