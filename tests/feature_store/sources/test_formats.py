"""What a format does with a payload of another one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from feature_store.contract.identity import PlainIds
from feature_store.sources.adapters.common import Adapted
from feature_store.sources.formats import formats, looks_like
from tests.feature_store.sources.adapters import payloads

PRESETS = Path(__file__).parent / "adapters" / "presets"
RECORDS: dict[str, Any] = {
    "segment": payloads.segment("Product Viewed", {"product_id": "p"}),
    "shopify": payloads.shopify("page_viewed", {}),
    "ga4": payloads.ga4_row("page_view"),
    **{path.stem: json.loads(path.read_text())["rows"][0] for path in sorted(PRESETS.glob("*.json"))},
}
EVENT = {"event_id": "e", "store": "acme", "buyer": "b", "type": "login", "timestamp": 1, "schema_version": 1}


def adapted(name: str, payload: Any) -> Adapted:
    found = formats()[name].payload
    assert found is not None
    return found.adapt(payload, store="acme", hasher=PlainIds())


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_looks_like_its_format(name: str) -> None:
    found = looks_like(RECORDS[name])
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize("name", ["segment", "shopify", "ga4", "posthog", "magento"])
@pytest.mark.parametrize("other", RECORDS)
def test_a_payload_of_another_format_is_refused_and_the_format_named(name: str, other: str) -> None:
    if other == name:
        assert adapted(name, RECORDS[name]).skipped.get("invalid") is None
        return
    found = adapted(name, RECORDS[other])
    if not found.events:  # what RudderStack sends is what Segment sends
        assert found.skipped == {"invalid": 1}
        (detail,) = found.details
        assert f"this is not {name}; it looks like {other}" in detail


@pytest.mark.parametrize("payload", [None, [], "text", 5, {}, {"hello": "world"}, {"event": None}])
def test_what_looks_like_nothing_is_judged_by_the_format_itself(payload: Any) -> None:
    assert looks_like(payload) is None
    for name in ("segment", "shopify", "ga4", "posthog"):
        assert "looks like" not in str(adapted(name, payload).details)


def test_an_event_of_the_contract_is_known() -> None:
    (detail,) = adapted("segment", EVENT).details
    assert "it looks like contract" in detail


def test_a_vendors_own_unknown_events_are_no_misfit() -> None:
    assert adapted("segment", payloads.segment("Door Slammed", {})).skipped == {"unmapped_event": 1}
    assert adapted("segment", payloads.segment("Door Slammed", {})).unmapped == ["Door Slammed"]
