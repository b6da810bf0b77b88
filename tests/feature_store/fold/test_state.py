"""Rows and vectors: canonical bytes, 451 finite numbers, the scalars that the documentation names."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from feature_store.contract.events import Event
from feature_store.errors import RowVersionError
from feature_store.fold.behavior import empty_states
from feature_store.fold.state import MAX_STATE_BYTES, pack_states, unpack_states
from feature_store.fold.vector import EMBEDDINGS, MASKS, SCALARS, VECTOR_SIZE
from feature_store.history.offline_fold import fold_history
from tests.strategies import MINUTE, START, event, histories


@given(histories())
def test_vectors_are_finite_and_embeddings_of_unit_length(events: list[Event]) -> None:
    vectors = fold_history([events]).vectors()
    assert vectors.shape[1] == VECTOR_SIZE == 451
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    lengths = np.linalg.norm(vectors[:, EMBEDDINGS].reshape(len(vectors), 3, 128), axis=2)
    masks = vectors[:, MASKS]
    assert np.isin(masks, (0, 1)).all()
    assert np.allclose(lengths[masks == 1], 1, atol=1e-5)
    assert (lengths[masks == 0] == 0).all()


@given(histories())
def test_packed_states_come_back_and_stay_in_bounds(events: list[Event]) -> None:
    rows = list(fold_history([events]).states().values())
    states = empty_states(len(rows))
    slots = np.arange(len(rows))
    unpack_states(states, slots, rows)
    assert pack_states(states, slots) == rows
    assert all(len(row) <= MAX_STATE_BYTES for row in rows)


@pytest.mark.parametrize("damage", [lambda row: row[:-1], lambda row: row + b"\0", lambda row: row[:10]])
def test_a_damaged_row_is_refused(damage: object) -> None:
    (row,) = fold_history([[event()]]).states().values()
    with pytest.raises(RowVersionError):
        unpack_states(empty_states(1), np.zeros(1, np.int64), [damage(row)])  # type: ignore[operator]


def test_each_scalar_says_what_its_name_says() -> None:
    story = [
        event(event_id="1", type="search", timestamp=START),
        event(event_id="2", type="list_view", timestamp=START + MINUTE),
        event(event_id="3", product_id="p1", category="home/kitchen", price=10.0,
              timestamp=START + 2 * MINUTE),
        event(event_id="4", product_id="p2", category="home/bed", price=30.0, timestamp=START + 4 * MINUTE),
        event(event_id="5", type="add_to_cart", product_id="p2", price=30.0, quantity=2,
              timestamp=START + 5 * MINUTE),
        event(event_id="6", type="view_cart", timestamp=START + 6 * MINUTE),
        event(event_id="7", type="begin_checkout", timestamp=START + 200 * MINUTE),
        event(event_id="8", type="purchase", value=65.5, timestamp=START + 201 * MINUTE),
    ]  # fmt: skip
    vector = fold_history([story]).vectors()[0]
    scalars = {s.name: float(vector[i]) for i, s in enumerate(SCALARS)}
    assert scalars == pytest.approx(
        {
            "events": 8,
            "sessions": 2,
            "active_seconds": 7 * 60,
            "pace_seconds": 70,
            "product_views": 2,
            "distinct_products": 2,
            "distinct_categories": 2,
            "list_views": 1,
            "searches": 1,
            "carts": 1,
            "cart_reviews": 1,
            "checkouts": 1,
            "purchases": 1,
            "viewed_price": 20,
            "cart_value": 60,
            "order_value": 65.5,
        },
        rel=0.05,  # the two distinct counts are estimates
    )


def test_scales_of_currencies_agree() -> None:
    yen = fold_history([[event(product_id="p", price=1000, currency="JPY")]]).vectors()[0]
    dollars = fold_history([[event(product_id="p", price=10, currency="USD")]]).vectors()[0]
    assert (yen == dollars).all()
