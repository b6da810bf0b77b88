"""Google Analytics 4 -> Event: Measurement Protocol payloads and rows of the BigQuery export.

Measurement Protocol: {client_id, timestamp_micros, events: [{name, params}]}. A payload without
timestamp_micros means "now": whoever receives it writes the time of receipt there first.
BigQuery export: one row an event, event_name, event_timestamp (microseconds), user_pseudo_id,
event_params (key-value records), ecommerce, items; as JSON (numbers may be text) or parquet.
The buyer is the device (client_id, app_instance_id, user_pseudo_id), so that a shopper who signs in halfway
stays one buyer, and user_id where there is none.
"""

from __future__ import annotations

from typing import Any, Final

from feature_store.contract.events import Event, EventType
from feature_store.contract.identity import Identity
from feature_store.sources.adapters.common import (
    Adapted,
    Json,
    adapt_items,
    build_event,
    event_type,
    get,
    items_of,
    refuse_bot,
)
from feature_store.sources.formats import register, vendor
from feature_store.sources.skips import SkipReason
from feature_store.sources.values.context import NO_CONTEXT, Context
from feature_store.sources.values.reader import Fields, Line, Reader

EVENT_TYPES: Final[dict[str, EventType]] = {
    "page_view": "page_view",
    "screen_view": "page_view",
    "view_item_list": "list_view",
    "search": "search",
    "view_search_results": "search",
    "view_item": "product_view",
    "add_to_cart": "add_to_cart",
    "remove_from_cart": "remove_from_cart",
    "view_cart": "view_cart",
    "begin_checkout": "begin_checkout",
    "add_payment_info": "add_payment_info",
    "purchase": "purchase",
    "sign_up": "sign_up",
    "login": "login",
}
OTHER_EVENTS: Final = frozenset(
    {
        "ad_click",
        "ad_exposure",
        "ad_impression",
        "ad_query",
        "ad_reward",
        "add_shipping_info",
        "add_to_wishlist",
        "adunit_exposure",
        "app_clear_data",
        "app_exception",
        "app_remove",
        "app_store_refund",
        "app_store_subscription_cancel",
        "app_store_subscription_convert",
        "app_store_subscription_renew",
        "app_update",
        "campaign_details",
        "click",
        "close_convert_lead",
        "close_unconvert_lead",
        "disqualify_lead",
        "dynamic_link_app_open",
        "dynamic_link_app_update",
        "dynamic_link_first_open",
        "earn_virtual_currency",
        "error",
        "exception",
        "file_download",
        "firebase_campaign",
        "firebase_in_app_message_action",
        "firebase_in_app_message_dismiss",
        "firebase_in_app_message_impression",
        "first_open",
        "first_visit",
        "form_start",
        "form_submit",
        "generate_lead",
        "in_app_purchase",
        "join_group",
        "level_end",
        "level_start",
        "level_up",
        "notification_dismiss",
        "notification_foreground",
        "notification_open",
        "notification_receive",
        "notification_send",
        "os_update",
        "post_score",
        "qualify_lead",
        "refund",
        "scroll",
        "select_content",
        "select_item",
        "select_promotion",
        "session_start",
        "share",
        "spend_virtual_currency",
        "tutorial_begin",
        "tutorial_complete",
        "unlock_achievement",
        "user_engagement",
        "video_complete",
        "video_progress",
        "video_start",
        "view_promotion",
        "working_lead",
    }
)
"""Collected by themselves or recommended by Google's documents, and of no meaning here."""
_CATEGORY_KEYS: Final = ("item_category", *(f"item_category{level}" for level in range(2, 6)))
_ROW_IDENTITY: Final = (
    "event_bundle_sequence_id",
    "batch_event_index",
    "batch_page_id",
    "batch_ordering_id",
)
"""What tells apart two rows of one name, buyer and microsecond; the same in intraday and daily tables."""


def adapt(payload: Any, *, store: str, hasher: Identity, context: Context = NO_CONTEXT) -> Adapted:
    """Adapt one Measurement Protocol payload or one exported row; never raises, whatever it is."""
    if get(payload, "event_name") is not None:
        return adapt_items([payload], lambda row, read: _adapt_row(row, read, store, hasher), context)
    events = get(payload, "events")
    if not isinstance(events, list):
        detail = "neither a Measurement Protocol payload (events) nor an exported row (event_name)"
        return Adapted([], {SkipReason.INVALID: 1}, [f"{SkipReason.INVALID}: {detail}"], [0], [])
    return adapt_items(
        enumerate(events),
        lambda item, read: _adapt_message(payload, item[0], item[1], read, store, hasher),
        context,
    )


def _adapt_message(
    payload: Json, index: int, event: Json, read: Reader, store: str, hasher: Identity
) -> Event:
    kind = event_type(get(event, "name"), EVENT_TYPES, OTHER_EVENTS)
    refuse_bot(get(payload, "user_agent"))
    params = get(event, "params")
    raw_time = get(event, "timestamp_micros") or get(payload, "timestamp_micros")
    fields = {
        "type": kind,
        "timestamp": read.time("timestamp_micros", raw_time, "us"),
        **_item_fields(read, kind, params, get(params, "items"), get(params, "value")),
    }
    return build_event(
        fields,
        read=read,
        store=store,
        buyers={name: get(payload, name) for name in ("client_id", "app_instance_id", "user_id")},
        identity=hasher,
        content=[raw_time, index, event],
        order=_order_id(read, kind, get(params, "transaction_id")),
    )


def _adapt_row(row: Json, read: Reader, store: str, hasher: Identity) -> Event:
    kind = event_type(get(row, "event_name"), EVENT_TYPES, OTHER_EVENTS)
    params = _row_params(row)
    raw_time = get(row, "event_timestamp")
    value = params.get("value")
    if value is None:
        value = get(row, "ecommerce", "purchase_revenue")
    fields = {
        "type": kind,
        "timestamp": read.time("event_timestamp", raw_time, "us"),
        **_item_fields(read, kind, params, get(row, "items"), value),
    }
    return build_event(
        fields,
        read=read,
        store=store,
        buyers={name: get(row, name) for name in ("user_pseudo_id", "user_id")},
        identity=hasher,
        content=[raw_time, *(get(row, key) for key in _ROW_IDENTITY)],
        order=_order_id(read, kind, get(row, "ecommerce", "transaction_id"), params.get("transaction_id")),
    )


def _order_id(read: Reader, kind: EventType, *transaction_ids: Json) -> str | None:
    return read.identifier("order", *transaction_ids) if kind == "purchase" else None


def _row_params(row: Json) -> dict[str, Json]:
    """event_params as a mapping: the one value of each record that is set."""
    params: dict[str, Json] = {}
    for record in items_of(get(row, "event_params")):
        key = get(record, "key")
        typed = (get(record, "value", f"{name}_value") for name in ("string", "int", "double", "float"))
        if isinstance(key, str):
            params[key] = next((value for value in typed if value is not None), None)
    return params


def _item_fields(read: Reader, kind: EventType, params: Json, items: Json, value: Json) -> Fields:
    if kind == "search":
        return {"query": read.text("query", get(params, "search_term"))}
    if kind in ("page_view", "sign_up", "login"):
        return {}
    lines = [_item_line(read, item, params) for item in items_of(items)]
    if kind == "list_view":  # the list's own category; its first item would be no product view
        shared = {item.fields["category"] for item in lines}
        only = shared.pop() if len(shared) == 1 else None
        return {"category": only or read.category(get(params, "item_list_name"))}
    return read.cart(lines, value=value, currency_code=get(params, "currency"))


def _item_line(read: Reader, item: Json, params: Json) -> Line:
    path = [level for key in _CATEGORY_KEYS if (level := read.category(get(item, key))) is not None]
    return read.line(
        product_id=get(item, "item_id"),
        category="/".join(path) or None,
        brand=get(item, "item_brand"),
        price=get(item, "price"),
        currency_code=(get(item, "currency"), get(params, "currency")),
        quantity=get(item, "quantity"),
    )


def _received(payload: Json, received_ms: int) -> Json:
    """A payload without a time means "now"."""
    if isinstance(payload, dict) and "events" in payload:
        return {"timestamp_micros": received_ms * 1000} | payload
    return payload


register(
    vendor(
        "ga4",
        "Google Analytics 4: Measurement Protocol, rows of the BigQuery export",
        adapt,
        columns=frozenset({"event_name", "event_timestamp", "user_pseudo_id"}),
        items="events",
        time_unit="us",
        stamp=_received,
    )
)
