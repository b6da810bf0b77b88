"""The definition of the fold once more, one event at a time in plain Python: what the kernel must equal."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from feature_store.contract.events import EVENT_TYPES, TYPE_CODE, Event, line_of
from feature_store.fold.behavior import COUNTER, REMEMBERED_IDS, SESSION_GAP_MS
from feature_store.fold.memory import MAX_BLOCKS
from feature_store.fold.products import currency_exponent, product_vector
from tests.strategies import MINUTE


@dataclass
class Order:
    """What is known of an order: the worth of the whole, of lines by name, and what was refunded."""

    whole: int | None = None
    lines: dict[str | None, int] = field(default_factory=dict)
    refunded: float = 0

    @property
    def is_known(self) -> bool:
        return self.whole is not None or bool(self.lines)

    @property
    def net(self) -> int:
        worth = sum(self.lines.values()) if self.whole is None else self.whole
        return int(max(0, worth - min(self.refunded, worth)))


@dataclass
class Plain:
    """One buyer."""

    counters: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTER, 0))
    ids: list[str] = field(default_factory=list)
    blocks: list[tuple[int, set[str]]] = field(default_factory=list)
    orders: dict[str, Order] = field(default_factory=dict)
    unnamed: int = 0
    sums: dict[str, np.ndarray] = field(default_factory=dict)
    acts: list[tuple[int, int]] = field(default_factory=list)

    def was_sent_before(self, e: Event) -> bool:
        if e.event_id in self.ids[-REMEMBERED_IDS:]:
            return True
        return e.timestamp <= self.counters["forgotten_until"] or any(
            e.event_id in ids for _, ids in self.blocks
        )

    def remember(self, e: Event) -> None:
        c = self.counters
        if self.ids and len(self.ids) % REMEMBERED_IDS == 0:
            self.blocks.append((c["block_time"], set(self.ids[-REMEMBERED_IDS:])))
            c["block_time"] = 0
            if len(self.blocks) > MAX_BLOCKS:
                oldest = min(self.blocks, key=lambda block: block[0])
                if oldest[0] == self.blocks[-1][0]:
                    oldest = self.blocks[-1]
                self.blocks.remove(oldest)
                c["forgotten_until"] = max(c["forgotten_until"], oldest[0])
        self.ids.append(e.event_id)
        c["block_time"] = max(c["block_time"], e.timestamp)

    def add(self, e: Event) -> None:
        c = self.counters
        if self.was_sent_before(e):
            return
        is_first = True
        if e.order is not None and e.type in ("purchase", "refund"):
            order = self.orders.setdefault(e.order, Order())
            is_first = not order.is_known
            if not self.take(order, e):
                return
        self.remember(e)
        if e.type != "refund" or c["events"] == 0:
            self.add_time(e)
        c["events"] += 1
        if e.type == "refund":
            c["refunds"] += 1
        elif is_first or e.order is None or e.type != "purchase":
            c[e.type] += 1
            self.add_act(e)
        if e.order is None or e.type != "purchase":
            self.add_money(e)
        c["order_value"] = self.unnamed + sum(order.net for order in self.orders.values())
        pooled = {"product_view": "viewed", "add_to_cart": "carted", "purchase": "purchased"}.get(e.type)
        if pooled and (e.product_id is not None or e.category or e.brand):
            c[pooled] += 1
            vector = product_vector(e.product_id, e.category, e.brand, minor(e, e.price)).astype(np.int32)
            self.sums[pooled] = self.sums.get(pooled, 0) + vector

    def take(self, order: Order, e: Event) -> bool:
        """Whether the event says something new of its order."""
        amount = worth(e)
        if e.type == "refund":
            order.refunded += float("inf") if amount is None else amount
            return True
        line = line_of(e.line, e.value, e.product_id)
        if order.whole is not None:
            return False
        if line is None and amount is not None:
            order.whole = amount
            return True
        if line in order.lines:
            return False
        order.lines[line] = amount or 0
        return True

    def add_time(self, e: Event) -> None:
        c = self.counters
        if c["events"] == 0:
            c["sessions"], c["first_time"], c["last_time"] = 1, e.timestamp, e.timestamp
            self.open_session(e.timestamp, 0)
        elif e.timestamp > c["last_time"]:
            step = e.timestamp - c["last_time"]
            if step > SESSION_GAP_MS:
                c["sessions"] += 1
                self.open_session(e.timestamp, step)
            else:
                c["active_ms"] += step
                c["steps"] += 1
            c["last_time"] = e.timestamp
        else:
            c["late"] += c["last_time"] - e.timestamp > 30 * MINUTE
            c["first_time"] = min(c["first_time"], e.timestamp)

    def open_session(self, time: int, away: int) -> None:
        self.counters |= {f"session_{name}": 0 for name in EVENT_TYPES}
        self.counters |= {"session_start": time, "away_ms": away}

    def add_act(self, e: Event) -> None:
        c = self.counters
        self.acts.append((e.timestamp, TYPE_CODE[e.type]))
        if e.timestamp < c["session_start"] - SESSION_GAP_MS:
            return
        earlier = max(c["session_start"] - e.timestamp, 0)
        c["session_start"] -= earlier
        c["away_ms"] = max(c["away_ms"] - earlier, 0)
        c[f"session_{e.type}"] += 1

    @property
    def latest(self) -> list[int]:
        """The last acts, newest first."""
        return [time * 32 + kind + 1 for time, kind in sorted(self.acts, reverse=True)[:16]]

    def add_money(self, e: Event) -> None:
        c = self.counters
        if e.type == "product_view" and e.price is not None:
            c["price_sum"] += minor(e, e.price)
            c["price_count"] += 1
        if e.type == "add_to_cart":
            c["cart_value"] += worth(e) or 0
        if e.type == "purchase":
            self.unnamed += worth(e) or 0


def worth(e: Event) -> int | None:
    if e.value is not None:
        return minor(e, e.value)
    return None if e.price is None else minor(e, e.price) * (e.quantity or 1)


def minor(e: Event, amount: float | None) -> int:
    return -1 if amount is None else round(amount * 10.0 ** currency_exponent(e.currency))


def plain_fold(events: list[Event]) -> dict[tuple[str, str], Plain]:
    states: dict[tuple[str, str], Plain] = {}
    for e in events:
        states.setdefault((e.store, e.buyer), Plain()).add(e)
    return states
