"""Steps of a session -> events of the contract, so that simulated shoppers can be sent like real ones."""

from __future__ import annotations

from collections.abc import Sequence

from feature_store.contract.events import Event
from training.persona_llm.storefront.actions import EVENT_OF, Item, Step

_NO_ITEM = Item(None, None, None, None)


def events_of(
    steps: Sequence[Step], *, store: str, buyer: str, started: int, currency: str | None = None
) -> list[Event]:
    """What a shop would have recorded of a session that began at `started` (ms since the epoch, UTC).

    Each step is an event at the time that the dwells before it add up to; leaving is no event. currency is
    that of the store's prices. Ids follow from buyer and place, so the same session gives the same events.
    """
    events = []
    at = started
    for number, step in enumerate(steps):
        type_ = EVENT_OF.get(step.action)
        if type_ is not None:
            item = step.item or _NO_ITEM
            events.append(
                Event(
                    schema_version=1,
                    event_id=f"{buyer}-{started}-{number}",
                    store=store,
                    buyer=buyer,
                    type=type_,
                    timestamp=at,
                    currency=None if item.price is None else currency,
                    query=step.query,
                    **item._asdict(),
                )
            )
        at += step.dwell_ms
    return events
