"""Google Analytics 4 -> Event: Measurement Protocol payloads and rows of the BigQuery export.

Measurement Protocol: {client_id, timestamp_micros, events: [{name, params}]}. A payload without
timestamp_micros means "now": over HTTP it is the time of receipt.
Rows, also flat ones: ga4_rows. The buyer is the device (client_id, app_instance_id, user_pseudo_id), so that
a shopper who signs in halfway stays one buyer, and user_id where there is none.
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
    decision,
    event_type,
    get,
    refuse_bot,
)
from feature_store.sources.adapters.consents import ga4_consent, ga4_row_consent
from feature_store.sources.adapters.ga4_items import item_fields
from feature_store.sources.adapters.ga4_rows import GA4_ROW_SIGNS, ROW_BUYERS, Row
from feature_store.sources.formats import register, vendor
from feature_store.sources.skips import SkipReason
from feature_store.sources.values.context import NO_CONTEXT, Context
from feature_store.sources.values.reader import Reader

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
    "refund": "refund",
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


def adapt(payload: Any, *, store: str, hasher: Identity, context: Context = NO_CONTEXT) -> Adapted:
    """Adapt one Measurement Protocol payload or one exported row; never raises, whatever it is."""
    events = get(payload, "events")
    if isinstance(events, list):
        return adapt_items(
            enumerate(events),
            lambda item, read: _adapt_message(payload, item[0], item[1], read, store, hasher),
            context,
            lambda _, read: decision(ga4_consent(payload), read, store, hasher, _buyers(payload)),
        )
    if isinstance(payload, dict) and (row := Row(payload)).name is not None:
        return adapt_items(
            [row],
            lambda it, read: _adapt_row(it, read, store, hasher),
            Row.context(context),
            lambda it, read: decision(ga4_row_consent(it), read, store, hasher, _row_buyers(it)),
        )
    detail = "neither a Measurement Protocol payload (events) nor an exported row (event_name)"
    return Adapted([], {SkipReason.INVALID: 1}, [f"{SkipReason.INVALID}: {detail}"], [0], [])


def _buyers(payload: Json) -> dict[str, Json]:
    return {name: get(payload, name) for name in ("client_id", "app_instance_id", "user_id")}


def _row_buyers(row: Row) -> dict[str, Json]:
    return {name: row.at(name) for name in ROW_BUYERS}


def _adapt_message(
    payload: Json, index: int, event: Json, read: Reader, store: str, hasher: Identity
) -> Event:
    kind = event_type(get(event, "name"), EVENT_TYPES, OTHER_EVENTS)
    refuse_bot(get(payload, "user_agent"))
    params = get(event, "params")
    raw_time = get(event, "timestamp_micros") or get(payload, "timestamp_micros")
    timestamp = read.time("timestamp_micros", raw_time, "us", or_now=True)
    fields = {
        "type": kind,
        "timestamp": timestamp,
        **item_fields(read, kind, params, get(params, "items"), get(params, "value")),
    }
    return build_event(
        fields,
        read=read,
        store=store,
        buyers=_buyers(payload),
        identity=hasher,
        content=[timestamp if raw_time is None else raw_time, index, event],
        order=_order_id(read, kind, get(params, "transaction_id")),
    )


def _adapt_row(row: Row, read: Reader, store: str, hasher: Identity) -> Event:
    kind = event_type(row.name, EVENT_TYPES, OTHER_EVENTS)
    fields = {
        "type": kind,
        "timestamp": row.time(read),
        **item_fields(read, kind, row.params, row.items, row.value),
    }
    return build_event(
        fields,
        read=read,
        store=store,
        buyers=_row_buyers(row),
        identity=hasher,
        content=row.content,
        order=_order_id(read, kind, *row.transaction_ids),
    )


def _order_id(read: Reader, kind: EventType, *transaction_ids: Json) -> str | None:
    return read.identifier("order", *transaction_ids) if kind in ("purchase", "refund") else None


register(
    vendor(
        "ga4",
        "Google Analytics 4: Measurement Protocol, rows of the BigQuery export",
        adapt,
        columns=frozenset({"event_name", "event_timestamp", "user_pseudo_id"}),
        signs=(frozenset({"events", "client_id"}), frozenset({"events", "app_instance_id"}), *GA4_ROW_SIGNS),
        names=EVENT_TYPES,
        items="events",
        time_unit="us",
    )
)
