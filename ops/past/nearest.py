"""The nearest change that would give a buyer another type: single acts, folded and encoded to see.

Each act is tried with the product looked at last and with one that is new, a usual step after the last event.
Where no single act does, the same act is tried up to three times.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from feature_store.contract.events import EVENT_TYPES, Event
from inference.encoders.encoder import Encoder, Encoding
from ops.past.carried import History, forecast_change

_STEP_MS: Final = 20_000
_MOST_TIMES: Final = 3
_OF_A_PRODUCT: Final = ("product_view", "add_to_cart", "purchase")


class Change(NamedTuple):
    """`times` more of an act, of the same product as the last or of a new one, would give this type."""

    act: str
    times: int
    is_same_product: bool
    type: int
    code: int


def nearest_change(
    events: Sequence[Event], history: History, encoder: Encoder, whole: Encoding
) -> Change | None:
    """The fewest acts that give another type; of several, the one that changes the forecast least.

    None: none of these acts does, up to three times, or the bundle has no types.
    """
    if whole.type[0] < 0:
        return None
    last_time = max(event.timestamp for event in events)
    product = next((event for event in reversed(events) if event.product_id is not None), None)
    tried = [(act, same) for act in EVENT_TYPES for same in (True, False) if same or act in _OF_A_PRODUCT]
    for times in range(1, _MOST_TIMES + 1):
        added = [
            [_event(events[-1], product if same else None, act, last_time, i) for i in range(times)]
            for act, same in tried
        ]
        found = encoder.encode(history.with_more(added))
        differs = np.flatnonzero(found.type != whole.type[0])
        if len(differs):
            change = forecast_change(whole, found)
            i = int(min(differs, key=lambda it: (change[it], it)))
            act, same = tried[i]
            return Change(act, times, same and product is not None, int(found.type[i]), int(found.code[i]))
    return None


def _event(last: Event, product: Event | None, act: str, last_time: int, number: int) -> Event:
    like = last if product is None else product
    with_product = act in _OF_A_PRODUCT
    return Event(
        schema_version=1,
        event_id=f"nearest-{act}-{number}",
        store=last.store,
        buyer=last.buyer,
        type=act,  # type: ignore[arg-type]
        timestamp=last_time + (number + 1) * _STEP_MS,
        product_id=None if not with_product else like.product_id if product else f"nearest-{number}",
        category=like.category if with_product else None,
        brand=like.brand if with_product else None,
        price=like.price if with_product else None,
        currency=like.currency if with_product else None,
    )
