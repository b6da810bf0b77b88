"""docs/traffic.md: the generator's figures beside those of the real shops it was fitted to."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from feature_store.contract.events import Event
from ops.traffic.buyer_types import TYPE_NAMES
from ops.traffic.config import Figures, StoreProfile, TrafficConfig, figures
from ops.traffic.generator import generate
from ops.traffic.measure import Measured, frame_of, measure

_BUYERS: Final = 24_000
_HOURS: Final = 24.0 * 14
_SEED: Final = 1

_HEAD: Final = """\
# Generated traffic against real traffic

Made by `python -m ops.traffic.fit ../shared/data`, which also writes the fitted figures
(`ops/traffic/figures.json`: aggregates only). Generated: {buyers} buyers over {days:.0f} days and
{stores} stores, seed {seed}. To compare like with like, generated events of a type that the real file
lacks are left out, and so are sessions shorter than the file keeps. A dash: the file does not say.
"""
_TAIL: Final = """\
## What does not fit, and why

- Latent types are shared by all stores; the shares, the pace, the persistence (a factor on the chance to
  leave) and the catalogue are a store's own. How a store's pages are named is not: mattress has more page
  views and fewer lists than generated, software more logins and checkouts.
- Purchases without a cart event (electronics: 3.8 % bought, 2.3 % carted): a purchase of a fitted shop
  follows a cart.
- A prior worth 5 % of the sessions keeps every type in every store, so that rare types exist in small
  runs; where the file shows views only (fashion, general), it decides between types alike in views.
- Popularity: a buyer glances at two products and opens the one nearer to his price taste, mostly in his
  home category. That bends popularity away from the Zipf exponent the catalogue was drawn with. Of a
  large catalogue, fewer events see fewer products.
- Prices are those of events, which popularity and taste weigh; a real store's few bestsellers can lie
  anywhere in its range.
- Clicks without a clock (fashion), without users (fashion, general), sessions as users (software): no
  gap or return to fit.

## Wide shops

`simpersona events generate --wide` takes no fitted shop: each is drawn by the seed
(ops/traffic/wide_shops.py), over the range that shops have, and not over the range of these six. Drawn
are: which event types the pixel sends (no search, no page views, no carts), which fields are lost (product,
category, brand, price, value, query, session), purchases that no cart event precedes, catalogues from one
product to 20,000, prices from cents to tens of thousands, pace and length of sessions, how often and how
soon buyers return, the shares of the latent types, and the weights of their chains.
"""


def write_report(path: Path, fitted: Figures, real: dict[str, Measured], min_events: dict[str, int]) -> None:
    """Generate with the figures just written, measure, and write the tables."""
    figures.cache_clear()
    config = TrafficConfig(buyers=_BUYERS, hours=_HOURS, stores=len(fitted.profiles), late=0, duplicates=0)
    by_store: dict[str, list[Event]] = {profile.name: [] for profile in fitted.profiles}
    for batch in generate(config, _SEED):
        for event in batch:
            by_store[event.store].append(event)
    parts = [
        _HEAD.format(buyers=f"{_BUYERS:,}", days=_HOURS / 24, stores=len(fitted.profiles), seed=_SEED),
        _mix_table(fitted),
    ]
    for profile in fitted.profiles:
        target = real[profile.fitted_to]
        generated = frame_of(by_store[profile.name]).filter(pl.col("type").is_in(list(target.event_mix)))
        long_enough = pl.len().over("buyer", "session") >= min_events[profile.fitted_to]
        parts.append(_table(profile, target, measure(generated.filter(long_enough))))
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([*parts, _TAIL]))


def _mix_table(fitted: Figures) -> str:
    lines = [
        "## Shares of the latent types (fitted)",
        "",
        "| type | " + " | ".join(profile.name for profile in fitted.profiles) + " |",
        "|---|" + "---:|" * len(fitted.profiles),
    ]
    for i, name in enumerate(TYPE_NAMES):
        lines.append(f"| {name} | " + " | ".join(f"{p.type_mix[i]:.3f}" for p in fitted.profiles) + " |")
    lines.append("| *persistence* | " + " | ".join(f"{p.persistence:.1f}" for p in fitted.profiles) + " |")
    lines.append("| *pace* | " + " | ".join(f"{p.pace:.2f}" for p in fitted.profiles) + " |")
    return "\n".join([*lines, ""])


def _table(profile: StoreProfile, real: Measured, ours: Measured) -> str:
    rows: list[tuple[str, object, object]] = [
        ("events", real.events, ours.events),
        ("sessions", real.sessions, ours.sessions),
        ("events per session: mean, p90, p99", real.events_per_session, ours.events_per_session),
        ("sessions of one event", real.single_event_sessions, ours.single_event_sessions),
        ("sessions per buyer", real.sessions_per_buyer, ours.sessions_per_buyer),
        ("view -> cart", real.view_to_cart, ours.view_to_cart),
        ("cart -> checkout", real.cart_to_checkout, ours.cart_to_checkout),
        ("sessions with a purchase", real.sessions_with_purchase, ours.sessions_with_purchase),
        ("seconds between events: p25, p50, p75", real.gap_seconds, ours.gap_seconds),
        ("products seen", real.products or None, ours.products if real.products else None),
        ("Zipf exponent of views", real.zipf, ours.zipf if real.zipf else None),
        ("price: p25, p50, p75", real.price, ours.price if real.price else None),
    ]
    rows += [(name, share, ours.event_mix.get(name, 0.0)) for name, share in real.event_mix.items()]
    lines = [
        f"## {profile.name} (fitted to {profile.fitted_to})",
        "",
        "| figure | real | generated |",
        "|---|---:|---:|",
    ]
    lines += [f"| {name} | {_text(a)} | {_text(b)} |" for name, a, b in rows]
    return "\n".join([*lines, ""])


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, tuple):
        return ", ".join(_text(part) for part in value)
    if isinstance(value, float):
        return f"{value:.3f}" if value < 10 else f"{value:.1f}"
    return f"{value:,}"
