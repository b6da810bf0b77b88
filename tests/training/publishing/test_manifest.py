"""What evaluation.json says of the data is what was in it."""

from __future__ import annotations

from feature_store.contract.events import Event
from tests.strategies import START, event
from training.encoder.dataset import training_rows
from training.publishing.manifest import describe_data

HOUR = 3_600_000


def test_counts_and_base_rates_by_store() -> None:
    def did(store: str, buyer: str, *steps: str) -> list[Event]:
        return [
            event(store=store, buyer=buyer, event_id=f"{buyer}{i}", type=step, timestamp=START + i * HOUR)
            for i, step in enumerate(steps)
        ]

    events = [
        *did("north", "n1", "product_view", "add_to_cart", "begin_checkout", "purchase"),
        *did("north", "n2", "product_view", "add_to_cart"),
        *did("north", "n3", "page_view"),
        *did("north", "n4", "product_view"),
        *did("east", "e1", "search", "purchase"),
        *did("north", "n3", "page_view"),  # the same event again
    ]
    described = describe_data(training_rows([events]))
    assert described == {
        "buyers": 5,
        "events": 10,
        "sessions": 10,
        "rows": {"whole": 5, "earlier": 5},
        "after": {"1": 5, "2": 0, "3": 0, "5": 0, "8": 0, "10": 0, "15": 0, "20": 0, "30": 0},
        "stores": {
            "east": {
                "buyers": 1,
                "events": 2,
                "sessions": 2,
                "funnel": {"viewed": 0.0, "carted": 0.0, "began_checkout": 0.0, "purchased": 1.0},
            },
            "north": {
                "buyers": 4,
                "events": 8,
                "sessions": 8,
                "funnel": {"viewed": 0.75, "carted": 0.5, "began_checkout": 0.25, "purchased": 0.25},
            },
        },
    }
