"""Laws that hold for every adapter, whatever a sender sends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import feature_store.sources.adapters
from feature_store.contract.events import decode_event, encode_event
from feature_store.sources.adapters import ga4, segment, shopify
from feature_store.sources.adapters.mapping.loading import load_mapping
from feature_store.sources.formats import formats
from feature_store.sources.skips import FAULTS
from tests.feature_store.sources.adapters import payloads, test_ga4_rows, test_shopify_orders
from tests.feature_store.sources.adapters.payloads import HASHER, STORE
from tests.feature_store.sources.adapters.presets import test_presets as presets

MAPPINGS = Path(feature_store.sources.adapters.__file__).parent / "mappings"
PUFFY = load_mapping(MAPPINGS / "puffy.toml")
PUFFY_ORDER = {
    "client_id": "client-1",
    "timestamp": payloads.TIME_TEXT,
    "event_name": "checkout_completed",
    "page_path": "/checkouts/cn/-/thank-you",
    "event_data": '{"transaction_id":"T","revenue":245,"items":[{"item_id":"Q","item_price":245}]}',
    "user_agent": payloads.BROWSER,
}
GOOD = {
    "shopify": (shopify.adapt, payloads.shopify("checkout_completed", payloads.shopify_checkout())),
    "segment": (segment.adapt, payloads.segment("Order Completed", payloads.segment_order())),
    "ga4 message": (
        ga4.adapt,
        payloads.ga4_message({"name": "purchase", "params": {"value": 1, "items": payloads.GA4_ITEMS}}),
    ),
    "ga4 row": (ga4.adapt, payloads.ga4_row("purchase", items=payloads.GA4_ITEMS)),
    "mapping": (PUFFY.adapt, PUFFY_ORDER),
    "shopify order": (shopify.adapt, test_shopify_orders.WEBHOOK),
    "shopify graphql": (shopify.adapt, test_shopify_orders.GRAPHQL),
    "shopify csv": (shopify.adapt, test_shopify_orders.CSV),
    "ga4 flat row": (ga4.adapt, test_ga4_rows.UNNESTED),
    **{name: (formats()[name].payload.adapt, presets.record(name)) for name in presets.CASES},  # type: ignore[union-attr]
}
each_vendor = pytest.mark.parametrize(("adapt", "payload"), GOOD.values(), ids=GOOD.keys())

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**300, max_value=10**301)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["\ud800", "\0", "1e999", "NaN", "9" * 5000, "x" * 600, "2025-02-23", "1_0", payloads.TIME_TEXT]
    )
)
garbage = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place inside a payload."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def with_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        secrets = {"email": "secret@example.com", "ip": "secret-ip", "address": {"street": "secret"}}
        return secrets | {key: with_secrets(item) for key, item in value.items()}
    return [with_secrets(item) for item in value] if isinstance(value, list) else value


@each_vendor
@settings(max_examples=40)
@given(data=st.data())
def test_garbage_anywhere_never_raises_and_never_yields_an_invalid_event(
    adapt: Any, payload: Any, data: st.DataObject
) -> None:
    broken = payload
    for _ in range(data.draw(st.integers(1, 3))):
        broken = replaced(broken, data.draw(st.sampled_from(places(broken))), data.draw(garbage))
    adapted = adapt(broken, store=STORE, hasher=HASHER)
    for event in adapted.events:
        assert decode_event(encode_event(event)) == event
    faults = sum(count for reason, count in adapted.skipped.items() if reason in FAULTS)
    assert faults == len(adapted.details)


@each_vendor
def test_nothing_but_contract_fields_leaves(adapt: Any, payload: Any) -> None:
    plain = adapt(payload, store=STORE, hasher=HASHER).events
    laced = adapt(with_secrets(payload), store=STORE, hasher=HASHER).events
    assert plain
    sent = b"".join(map(encode_event, laced))
    for private in (b"secret", b"example.com", b"203.0.113", b"Ann", b"High Street", b"Berlin", b"+49"):
        assert private not in sent
    for raw_id in (b"client-1", b"anon-1", b"user-1", b"123.456"):
        assert raw_id not in sent
    assert [event.buyer for event in laced] == [event.buyer for event in plain]


@each_vendor
def test_a_refusal_quotes_nothing_of_the_payload(adapt: Any, payload: Any) -> None:
    for place in places(payload)[1:]:
        adapted = adapt(replaced(payload, place, "secret\ud800"), store=STORE, hasher=HASHER)
        assert "secret" not in str(adapted.details)
