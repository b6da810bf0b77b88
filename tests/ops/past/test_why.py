"""What carries a persona: leaving events out is the fold without them, whatever the length."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from feature_store.contract.events import EVENT_TYPES, Event
from feature_store.fold.behavior import ALLOWED_LATENESS_MS
from inference.bundles.bundle import load_bundle, starter_bundle_path
from inference.encoders.onnx import OnnxEncoder
from ops.past.carried import ONE_BY_ONE, History, effects, forecast_change
from ops.past.nearest import nearest_change
from ops.past.replay import Placed, fold_buyer
from ops.past.why import Explained

LATE = ALLOWED_LATENESS_MS


@pytest.fixture(scope="module")
def encoder() -> OnnxEncoder:
    return OnnxEncoder(load_bundle(starter_bundle_path()))


def history(count: int, seed: int) -> list[Event]:
    """Events of one buyer: visits, orders, products met again."""
    roll, at, events = random.Random(seed), 1_760_000_000_000, []
    for number in range(count):
        at += roll.choice((5_000, 20_000, 60_000, 60_000, 7_200_000))
        kind = EVENT_TYPES[min(int(roll.expovariate(0.4)), len(EVENT_TYPES) - 1)]
        product = roll.randrange(30)
        more: dict[str, Any] = {"order": f"o{number}", "value": 20.0} if kind == "purchase" else {}
        events.append(
            Event(
                schema_version=1,
                event_id=f"e{number}",
                store="acme",
                buyer="ann",
                type=kind,  # type: ignore[arg-type]
                timestamp=at,
                product_id=f"p{product}",
                category=f"c{product % 4}",
                price=float(product + 1),
                currency="USD",
                **more,
            )
        )
    return events


@pytest.mark.parametrize("count", [2, 65, 300, 3_000])
def test_leaving_out_is_the_fold_of_what_is_left(count: int) -> None:
    events, roll = history(count, 1), random.Random(2)
    taken = History(events, LATE)
    starts = sorted(roll.sample(range(count), min(count, 12)))
    spans = [(start, min(count, start + roll.choice((1, 1, 40)))) for start in starts]
    spans = [span for span in spans if span != (0, count)]
    found = taken.without(spans)
    masks = [np.isin(np.arange(count), np.arange(*span)) for span in spans]
    expected = [
        fold_buyer([event for event, left_out in zip(events, mask, strict=True) if not left_out], LATE)
        for mask in masks
    ]
    assert all(np.array_equal(found[i], one.vector[0]) for i, one in enumerate(expected))
    assert np.array_equal(taken.without_each(masks), found)


def test_more_events_are_the_fold_of_all(encoder: OnnxEncoder) -> None:
    events, more = history(200, 3), history(203, 3)[200:]
    found = History(events, LATE).with_more([[], more[:1], more])
    for vector, all_of_them in zip(found, (events, events + more[:1], events + more), strict=True):
        assert np.array_equal(vector, fold_buyer(all_of_them, LATE).vector[0])


@pytest.mark.parametrize("seed", range(6))
def test_the_nearest_change_gives_what_it_promises(encoder: OnnxEncoder, seed: int) -> None:
    events = history(4 + 3 * seed, seed)
    whole = encoder.encode(fold_buyer(events, LATE).vector)
    found = nearest_change(events, History(events, LATE), encoder, whole)
    assert found is not None
    assert found.type != whole.type[0]
    last = max(event.timestamp for event in events)
    product = next(event for event in reversed(events) if event.product_id)
    assert found.is_same_product or found.act in ("product_view", "add_to_cart", "purchase")
    if found.act not in ("product_view", "add_to_cart", "purchase"):  # built here by hand, as a check
        bare = [
            Event(
                schema_version=1,
                event_id=f"by-hand-{i}",
                store="acme",
                buyer="ann",
                type=found.act,  # type: ignore[arg-type]
                timestamp=last + (i + 1) * 20_000,
            )
            for i in range(found.times)
        ]
        again = encoder.encode(fold_buyer([*events, *bare], LATE).vector)
        assert (int(again.type[0]), int(again.code[0])) == (found.type, found.code)
    assert product.product_id is not None


def test_short_and_long_histories(encoder: OnnxEncoder) -> None:
    one = Explained(encoder, [Placed(0, history(1, 5)[0])], LATE)
    assert (one.events(), one.blocks(), one.acts()) == ([], [], [])
    whole = Explained(encoder, [Placed(i, e) for i, e in enumerate(history(ONE_BY_ONE, 5))], LATE)
    assert len(whole.singles) == ONE_BY_ONE
    assert whole.blocks() == []
    long = Explained(encoder, [Placed(i, e) for i, e in enumerate(history(3_000, 5))], LATE)
    assert 0 < len(long.singles) <= 16
    assert sum(block.events for block in long.blocks()) < 3_000


def test_the_change_of_a_forecast_is_a_distance(encoder: OnnxEncoder) -> None:
    events = history(40, 8)
    taken = History(events, LATE)
    whole = encoder.encode(taken.with_more([[]]))
    assert forecast_change(whole, whole).tolist() == [0.0]
    singles, _ = effects(taken, encoder, whole)
    assert all(0.0 <= one.change <= 1.0 for one in singles)
    assert any(one.change > 0 for one in singles)
