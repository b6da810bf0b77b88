"""Bodies: unpacked in linear time within bounds, decoded item by item, and paid for in any case."""

from __future__ import annotations

import gzip
import json
import time
import tracemalloc
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.contract.identity import BuyerHasher
from feature_store.sources.formats import CONTRACT
from inference.api.bounds.costs import BYTES_PER_TOKEN, Meter
from inference.api.bounds.json_text import JsonBounds, compile_now
from inference.api.problems import ProblemError
from inference.api.requests.bodies import unpack
from inference.api.requests.payloads import Collector, sources

COLLECTOR = Collector(BuyerHasher(b"k" * 32), 2_000, JsonBounds(500_000, 10_000, 64))
NOW = time.time_ns() // 1_000_000
EVENT = {"event_id": "e", "buyer": "b", "type": "login", "timestamp": NOW}
TRACK = {"type": "track", "event": "Product Viewed", "anonymousId": "s", "timestamp": NOW}


def take(body: bytes, source: str = CONTRACT, store: str | None = "acme") -> tuple[Any, Meter]:
    meter = Meter(bytes=len(body))
    return COLLECTOR.take(body, source, store, meter), meter


def refused(body: bytes, source: str = CONTRACT) -> tuple[int, str]:
    with pytest.raises(ProblemError) as raised:
        take(body, source)
    return raised.value.status_code, raised.value.kind


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=6))
def test_members_of_gzip_come_out_as_one(parts: list[bytes]) -> None:
    packed = b"".join(gzip.compress(part) for part in parts)
    assert unpack(packed, 10_000, 6, Meter()) == b"".join(parts)


def test_more_members_than_allowed_are_refused_after_so_many() -> None:
    empty = gzip.compress(b"", mtime=0)
    with pytest.raises(ProblemError, match="more than 32 members"):
        unpack(empty * 50_000, 10_000, 32, Meter())
    assert unpack(empty * 32, 10_000, 32, Meter()) == b""


def test_a_bomb_is_unpacked_to_its_limit_and_paid_for() -> None:
    bomb, meter = gzip.compress(b" " * 50_000_000), Meter()
    tracemalloc.start()
    with pytest.raises(ProblemError) as raised:
        unpack(bomb, 1 << 20, 32, meter)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert raised.value.status_code == 413
    assert peak < 4 << 20
    assert meter.tokens == pytest.approx((1 << 20) / BYTES_PER_TOKEN, abs=2)


@pytest.mark.parametrize("cut", [1, 9, 15])
def test_gzip_that_ends_too_early_is_broken(cut: int) -> None:
    with pytest.raises(ProblemError) as raised:
        unpack(gzip.compress(b"abc")[:-cut], 100, 2, Meter())
    assert raised.value.status_code == 400


@pytest.mark.parametrize(
    ("body", "source", "kind"),
    [
        (b"[" + b"[]," * 2_790_000 + b"[]]", CONTRACT, "too-much-json"),
        (b'{"batch":[' + b"[]," * 2_790_000 + b"[]]}", "segment", "too-much-json"),
        (b'{"events":[' + b"1," * 4_000_000 + b"1]}", "ga4", "too-much-json"),
        (b'{"a":[' + b"[]," * 20_000 + b"[]]}", "shopify", "too-much-json"),
        (b'[{"buyer":"b","x":[' + b"[]," * 20_000 + b"[]]}]", CONTRACT, "too-much-json"),
        (b"[" * 8_000_000, CONTRACT, "too-much-json"),
        (b'{"a":' * 1_600_000, "segment", "too-much-json"),
        (b"[" + b"{}," * 2_000 + b"{}]", CONTRACT, "too-many-items"),
        (b'{"batch":[' + b"{}," * 2_000 + b"{}]}", "segment", "too-many-items"),
        (b"[" + b'{"batch":[{},{}]},' * 1_000 + b'{"batch":[{}]}]', "segment", "too-many-items"),
    ],
)
def test_what_would_cost_too_much_is_refused_before_it_is_built(body: bytes, source: str, kind: str) -> None:
    compile_now()  # whose memory is none of the body's
    tracemalloc.start()
    try:
        assert refused(body, source) == (413, kind)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"nul", b"[1,]", b"[,]", b"[1 2]", b"{}x", b"[{}", b'{"a"}', b"{}\n[]", b'{"a":1} {"a"}'],
)
@pytest.mark.parametrize("source", sources())
def test_what_is_no_json_is_refused_as_a_whole(body: bytes, source: str) -> None:
    assert refused(body, source) == (400, "not-json")


def test_items_are_told_to_the_meter_also_those_that_are_refused() -> None:
    taken, meter = take(json.dumps([{"buyer": "b", "x": 1}] * 2_000).encode())
    assert len(taken.refused) == 2_000
    assert meter.tokens == 1_999


def test_members_that_the_contract_does_not_name_are_left_out() -> None:
    taken, _ = take(json.dumps([{**EVENT, "secret": [{"card": "4111"}] * 50}]).encode())
    (event,) = taken.events
    assert event.type == "login"
    assert event.buyer == COLLECTOR.hasher.buyer("acme", "b")


def test_a_batch_of_a_vendor_is_taken_item_by_item() -> None:
    batch = [{**TRACK, "messageId": str(number)} for number in range(3)] + ["no message"]
    taken, meter = take(json.dumps({"batch": batch, "context": {"userAgent": "x"}}).encode(), "segment")
    assert [event.event_id for event in taken.events] == ["0", "1", "2"]
    assert meter.items == 4
    bots, _ = take(
        json.dumps({"batch": batch[:1], "context": {"userAgent": "Googlebot/2.1"}}).encode(), "segment"
    )
    assert bots.skipped == {"bot": 1}


def test_ids_of_events_without_one_are_those_of_the_whole_payload() -> None:
    """GA4 has no ids: an event is named by its place in the payload, so items must not be adapted apart."""
    from feature_store.sources.adapters import ga4

    payload = {"client_id": "c.1", "timestamp_micros": NOW * 1_000, "events": [{"name": "view_item"}] * 3}
    taken, _ = take(json.dumps(payload).encode(), "ga4")
    expected = ga4.adapt(payload, store="acme", hasher=COLLECTOR.hasher).events
    assert taken.events == expected
    assert len({event.event_id for event in taken.events}) == 3


FUZZ = st.binary(max_size=80) | st.recursive(
    st.none() | st.floats() | st.integers() | st.text() | st.sampled_from(list(EVENT.values())),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*EVENT, *TRACK, "batch", "events", "store", "context", "data", "client_id"])
            | st.text(),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
).map(lambda value: json.dumps(value).encode())


@settings(max_examples=400)
@given(FUZZ, st.sampled_from(sources()), st.sampled_from(["acme", None]))
def test_no_bytes_are_more_than_a_problem(body: bytes, source: str, store: str | None) -> None:
    with suppress(ProblemError):  # anything else fails
        taken, _ = take(body, source, store)
        assert taken.items == len(taken.events) + len(taken.refused) + taken.skipped.total()
