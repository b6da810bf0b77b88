"""What a shopping agent can do: a closed vocabulary of actions, the same in every store.

An action names a product by its relation to the shopper's session so far, not by its id: "like" the one
before, "back" to one seen earlier. So an action learned in one store means the same in a store never seen,
and each page of the storefront says which real item stands behind each relation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from feature_store.contract.events import Event, EventType

HOME: Final = "home"
LIST: Final = "list"
SEARCH: Final = "search"
ADD: Final = "add"
REMOVE: Final = "remove"
CART: Final = "cart"
CHECKOUT: Final = "checkout"
PAY: Final = "pay"
PURCHASE: Final = "purchase"
ACCOUNT: Final = "account"
LEAVE: Final = "leave"

FIRST: Final = "product first"
SAME: Final = "product same"
BACK: Final = "product back"
LIKE: Final = "product like"
OTHER: Final = "product other"
PRODUCTS: Final = (FIRST, SAME, BACK, LIKE, OTHER)
"""Opening a product: the first of the session, the one that is open, one opened before it, or a product not
yet opened, of the same category as the last one or of another."""

ACTIONS: Final = (HOME, LIST, SEARCH, *PRODUCTS, ADD, REMOVE, CART, CHECKOUT, PAY, PURCHASE, ACCOUNT, LEAVE)
"""Every action; its place in the tuple is its number. Append only: trained models know them by it."""
NUMBER: Final[dict[str, int]] = {action: number for number, action in enumerate(ACTIONS)}

EVENT_OF: Final[dict[str, EventType]] = {
    HOME: "page_view",
    LIST: "list_view",
    SEARCH: "search",
    **dict.fromkeys(PRODUCTS, "product_view"),
    ADD: "add_to_cart",
    REMOVE: "remove_from_cart",
    CART: "view_cart",
    CHECKOUT: "begin_checkout",
    PAY: "add_payment_info",
    PURCHASE: "purchase",
    ACCOUNT: "login",
}
"""The event of the contract that a shop would record of an action; leaving is no event."""
_ACTION_OF: Final[dict[str, str]] = {
    **{event: action for action, event in EVENT_OF.items() if action not in PRODUCTS},
    "sign_up": ACCOUNT,
}


class Item(NamedTuple):
    """A product as a store shows it; None where its events have no value. price: major units."""

    product_id: str | None
    category: str | None
    brand: str | None
    price: float | None


class Step(NamedTuple):
    """One action of a session: what was done, to which item, and how long the shopper then stayed (ms)."""

    action: str
    item: Item | None
    query: str | None
    dwell_ms: int


class Opened:
    """The products that a session opened so far, from which an action's relation follows."""

    def __init__(self) -> None:
        self.items: list[Item] = []

    def relation(self, item: Item) -> str:
        """How opening this item relates to the session. Items without an id are told apart by nothing:
        each counts as a new one."""
        if not self.items:
            return FIRST
        last = self.items[-1]
        if item.product_id is not None:
            if item.product_id == last.product_id:
                return SAME
            if any(item.product_id == seen.product_id for seen in self.items):
                return BACK
        return LIKE if item.category == last.category else OTHER

    def open(self, item: Item) -> None:
        """Take note that it was opened."""
        self.items.append(item)


def steps_of(session: Sequence[Event]) -> list[Step]:
    """The structured actions of one session, in the real order and with the real items; the last is LEAVE.

    A dwell is the time to the next event (ms, at least 0); that before leaving is unknown and 0.
    """
    opened, steps = Opened(), []
    visit = [event for event in session if event.type != "refund"]  # what the shop does is no action
    for event, following in zip(visit, [*visit[1:], None], strict=True):
        dwell = 0 if following is None else max(0, following.timestamp - event.timestamp)
        item = _item(event)
        if event.type == "product_view":
            item = item or Item(None, None, None, None)
            action = opened.relation(item)
            opened.open(item)
        else:
            action = _ACTION_OF[event.type]
        steps.append(Step(action, item, event.query, dwell))
    return [*steps, Step(LEAVE, None, None, 0)]


def _item(event: Event) -> Item | None:
    item = Item(event.product_id, event.category, event.brand, event.price)
    return None if item == (None, None, None, None) else item
