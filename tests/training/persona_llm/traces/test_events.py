"""A session written as steps and back is the same session, for the fold as well."""

from __future__ import annotations

import numpy as np

from feature_store.contract.events import decode_event, encode_event
from feature_store.history.offline_fold import fold_history
from tests.training.persona_llm.shops import shopping_trip
from training.persona_llm.storefront.actions import LEAVE, Step, steps_of
from training.persona_llm.traces.events import events_of


def test_events_come_back_from_their_steps() -> None:
    real = shopping_trip()
    made = events_of(steps_of(real), store="acme", buyer="b", started=real[0].timestamp)
    assert [(e.type, e.timestamp, e.product_id, e.price) for e in made] == [
        (e.type, e.timestamp, e.product_id, e.price) for e in real
    ]
    vectors = [fold_history([events]).vectors() for events in (real, made)]
    np.testing.assert_array_equal(*vectors)


def test_events_are_of_the_contract_and_have_ids_of_their_own() -> None:
    made = events_of(steps_of(shopping_trip()), store="acme", buyer="b", started=1, currency="EUR")
    assert [decode_event(encode_event(event)) for event in made] == made
    assert len({event.event_id for event in made}) == len(made)
    assert [event.currency for event in made] == [None if e.price is None else "EUR" for e in made]


def test_leaving_at_once_leaves_no_event() -> None:
    assert events_of([Step(LEAVE, None, None, 0)], store="acme", buyer="b", started=1) == []
