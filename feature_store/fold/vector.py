"""BuyerState -> the vector that an encoder sees, W numbers: names, units and transforms.

The layout follows SimPersona (paper.md, Representation): 16 behavioural scalars on the five axes of
SimGym (engagement, exploration, search, funnel, economic value), three 128-d product embeddings and
three mask values. Version 2 adds the present session and the order of the last acts, which the paper leaves
out (docs/adr/0053). The vector holds raw numbers. Transforms and scaling are in the exported graph, so a
new encoder can scale them in another way without a change here.
"""

from __future__ import annotations

from typing import Final, NamedTuple

FEATURE_VERSION: Final = 2
"""Changes when a number of the vector gets another meaning. A bundle names the version of its training."""
FEATURE_WIDTHS: Final = {1: 403, 2: 451}
"""Numbers in a vector of each version; a later one only adds columns, at the end."""


class Scalar(NamedTuple):
    """One behavioural scalar: its axis, unit, meaning and the transform that encoders apply first."""

    name: str
    axis: str
    unit: str
    transform: str
    meaning: str


SCALARS: Final[tuple[Scalar, ...]] = (
    Scalar("events", "engagement", "events", "log1p", "events folded, duplicates left out"),
    Scalar("sessions", "engagement", "sessions", "log1p", "visits, parted by a 30-minute gap of event time"),
    Scalar("active_seconds", "engagement", "s", "log1p", "time between events inside sessions"),
    Scalar("pace_seconds", "engagement", "s/event", "log1p", "active_seconds per step inside a session"),
    Scalar("product_views", "exploration", "events", "log1p", "product detail views"),
    Scalar("distinct_products", "exploration", "products", "log1p", "different products met (estimate)"),
    Scalar(
        "distinct_categories", "exploration", "categories", "log1p", "different categories met (estimate)"
    ),
    Scalar("list_views", "exploration", "events", "log1p", "category or collection pages"),
    Scalar("searches", "search", "events", "log1p", "search queries"),
    Scalar("carts", "funnel", "events", "log1p", "add_to_cart events"),
    Scalar("cart_reviews", "funnel", "events", "log1p", "view_cart and remove_from_cart events"),
    Scalar("checkouts", "funnel", "events", "log1p", "begin_checkout and add_payment_info events"),
    Scalar("purchases", "funnel", "events", "log1p", "purchase events"),
    Scalar("viewed_price", "economic", "major units", "log1p", "mean price of the priced product views"),
    Scalar("cart_value", "economic", "major units", "log1p", "sum of what add_to_cart events were worth"),
    Scalar("order_value", "economic", "major units", "log1p", "sum of what purchase events were worth"),
)
PRODUCT_SETS: Final = ("viewed", "carted", "purchased")
EMBEDDING_SIZE: Final = 128

N_SCALARS: Final = len(SCALARS)
EMBEDDINGS: Final = slice(N_SCALARS, N_SCALARS + len(PRODUCT_SETS) * EMBEDDING_SIZE)
MASKS: Final = slice(EMBEDDINGS.stop, EMBEDDINGS.stop + len(PRODUCT_SETS))
"""A mask is 1.0 where the product set holds something, 0.0 where it is empty (its embedding is then 0)."""

SESSION_SCALARS: Final[tuple[Scalar, ...]] = (
    Scalar("session_page_views", "session", "events", "log1p", "page views in the present session"),
    Scalar("session_list_views", "session", "events", "log1p", "category or collection pages in it"),
    Scalar("session_searches", "session", "events", "log1p", "search queries in it"),
    Scalar("session_product_views", "session", "events", "log1p", "product detail views in it"),
    Scalar("session_carts", "session", "events", "log1p", "add_to_cart events in it"),
    Scalar("session_cart_removals", "session", "events", "log1p", "remove_from_cart events in it"),
    Scalar("session_cart_views", "session", "events", "log1p", "view_cart events in it"),
    Scalar("session_checkouts", "session", "events", "log1p", "begin_checkout events in it"),
    Scalar("session_payment_infos", "session", "events", "log1p", "add_payment_info events in it"),
    Scalar("session_purchases", "session", "events", "log1p", "purchase events in it"),
    Scalar("session_sign_ups", "session", "events", "log1p", "sign_up events in it"),
    Scalar("session_logins", "session", "events", "log1p", "login events in it"),
    Scalar("session_events", "session", "events", "log1p", "the events above together"),
    Scalar("session_seconds", "session", "s", "log1p", "from its first event to the last"),
    Scalar("away_seconds", "session", "s", "log1p", "between the session before and this one, or 0"),
    Scalar("known_seconds", "session", "s", "log1p", "from the buyer's first event to the last"),
)
LATEST_ACTS: Final = 16
SESSION: Final = slice(MASKS.stop, MASKS.stop + len(SESSION_SCALARS))
"""The present session; the types of events stand in the order of EVENT_TYPES."""
KINDS: Final = slice(SESSION.stop, SESSION.stop + LATEST_ACTS)
"""Types of the last acts, newest first: 1 + index into EVENT_TYPES, 0 where there is none."""
GAPS: Final = slice(KINDS.stop, KINDS.stop + LATEST_ACTS)
"""s between each of these acts and the one before it; 0 where none is known."""
VECTOR_SIZE: Final = GAPS.stop
"""W: the scalars; an embedding of unit length and a mask per product set; the session; the last acts."""

assert MASKS.stop == FEATURE_WIDTHS[1], "version 1 is the first columns of version 2"
assert FEATURE_WIDTHS[FEATURE_VERSION] == VECTOR_SIZE, "another width is another FEATURE_VERSION"
