"""What payloads state of consent: a refusal is left out and names its buyer, and silence is no statement."""

from __future__ import annotations

from typing import Any

import pytest

from feature_store.contract.identity import BuyerHasher
from feature_store.sources.adapters import contract, ga4, segment, shopify
from feature_store.sources.adapters.common import Decision
from feature_store.sources.adapters.mapping.loading import parse_mapping
from tests.strategies import START

HASHER = BuyerHasher(b"k" * 16)
ANN = HASHER.buyer("acme", "ann")
REFUSED, GIVEN, NOTHING = [Decision(ANN, given=False)], [Decision(ANN, given=True)], list[Decision]()
SEGMENT = {"type": "page", "anonymousId": "ann", "messageId": "m", "timestamp": "2026-11-26T10:00:00.000Z"}
SHOPIFY = {
    "clientId": "ann",
    "id": "e",
    "name": "page_viewed",
    "data": {},
    "timestamp": "2026-11-26T10:00:00Z",
}
MESSAGE = {
    "client_id": "ann",
    "timestamp_micros": START * 1000,
    "events": [{"name": "page_view", "params": {}}],
}
ROW = {"event_name": "page_view", "event_timestamp": START * 1000, "user_pseudo_id": "ann"}


def preferences(**categories: Any) -> dict[str, Any]:
    return {**SEGMENT, "context": {"consent": {"categoryPreferences": categories}}}


def privacy(where: str, allowed: Any) -> dict[str, Any]:
    inside = {"customerPrivacy": {"analyticsProcessingAllowed": allowed, "saleOfDataAllowed": False}}
    return {**SHOPIFY, **(inside if not where else {where: inside})}


@pytest.mark.parametrize(
    ("adapt", "payload", "expected"),
    [
        (segment.adapt, SEGMENT, NOTHING),
        (segment.adapt, preferences(Analytics=False, Advertising=True), REFUSED),
        (segment.adapt, preferences(Analytics=True, Advertising=False), GIVEN),
        (segment.adapt, preferences(Advertising=False, Functional=True), NOTHING),
        (segment.adapt, preferences(C0001=False, C0002=False), REFUSED),
        (segment.adapt, preferences(Analytics="?"), NOTHING),
        (segment.adapt, {"batch": [SEGMENT], "context": preferences(Analytics=False)["context"]}, REFUSED),
        (shopify.adapt, SHOPIFY, NOTHING),
        (shopify.adapt, privacy("", allowed=False), REFUSED),
        (shopify.adapt, privacy("init", allowed=False), REFUSED),
        (shopify.adapt, privacy("init", allowed=True), GIVEN),
        (shopify.adapt, {**privacy("", allowed=False), "name": "visitorConsentCollected"}, REFUSED),
        (ga4.adapt, MESSAGE, NOTHING),
        (ga4.adapt, {**MESSAGE, "consent": {"ad_user_data": "DENIED"}}, NOTHING),
        (ga4.adapt, {**MESSAGE, "consent": {"ad_personalization": "GRANTED"}}, NOTHING),
        (ga4.adapt, {**MESSAGE, "consent": {"ad_personalization": "DENIED"}}, REFUSED),
        (ga4.adapt, {**MESSAGE, "consent": {"analytics_storage": "granted"}}, GIVEN),
        (ga4.adapt, {**ROW, "privacy_info": {"analytics_storage": "No"}}, REFUSED),
        (ga4.adapt, {**ROW, "privacy_info": '{"analytics_storage": "Yes"}'}, GIVEN),
        (ga4.adapt, {**ROW, "privacy_info_analytics_storage": "No"}, REFUSED),
    ],
)
def test_statements_of_vendors(adapt: Any, payload: Any, expected: list[Decision]) -> None:
    adapted = adapt(payload, store="acme", hasher=HASHER)
    assert list(adapted.decisions) == expected
    assert len(adapted.events) == (0 if expected == REFUSED else 1)
    assert adapted.skipped == ({"opted_out": 1} if expected == REFUSED else {})


def test_a_refusal_of_nobody_is_skipped_as_before() -> None:
    row = {**ROW, "user_pseudo_id": None, "privacy_info": {"analytics_storage": "No"}}
    adapted = ga4.adapt(row, store="acme", hasher=HASHER)
    assert (list(adapted.decisions), adapted.skipped) == ([], {"no_buyer_id": 1})


@pytest.mark.parametrize(
    ("answer", "expected"), [("yes", GIVEN), ("no", REFUSED), (None, NOTHING), ("", NOTHING)]
)
def test_the_key_of_a_mapping_states_it(answer: Any, expected: list[Decision]) -> None:
    text = (
        'format = 1\ntime = "at"\nbuyer = "who"\nconsent = "ok"\n'
        '[[events]]\ntype = "page_view"\nwhere = { kind = "page" }\n'
    )
    mapping = parse_mapping(text.encode())
    record = {"at": "2026-11-26T10:00:00Z", "who": "ann", "kind": "page", "ok": answer}
    assert list(mapping.adapt(record, store="acme", hasher=HASHER).decisions) == expected


@pytest.mark.parametrize(("answer", "count"), [(False, 0), ("false", 0), (True, 1), (None, 1), ("?", 1)])
def test_a_record_of_the_contract_in_a_file_may_be_left_out(answer: Any, count: int) -> None:
    event = {"schema_version": 1, "event_id": "e", "store": "acme", "buyer": "b", "type": "login"}
    adapted = contract.adapt({**event, "timestamp": START, "consent": answer})
    assert len(adapted.events) == count
