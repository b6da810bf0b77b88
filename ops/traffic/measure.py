"""Figures of clickstream traffic, real or generated, measured by the same code."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from feature_store.contract.events import Event
from feature_store.sources.adapters.normalised import EVENT_TYPES

MIN_ZIPF_COUNT: Final = 5
"""Products seen less often sit in the flat tail that a finite sample makes, and would bend the fit."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Aggregates of one store's traffic; None where the data does not say.

    Rates are shares of sessions, or of the sessions that reached the step before. Gaps are seconds
    between two events of a session; prices are in the store's currency.
    """

    events: int
    sessions: int
    events_per_session: tuple[float, float, float]  # mean, p90, p99
    single_event_sessions: float
    sessions_per_buyer: float
    event_mix: dict[str, float]
    view_to_cart: float | None
    cart_to_checkout: float | None
    sessions_with_purchase: float | None
    gap_seconds: tuple[float, float, float] | None  # p25, p50, p75
    products: int
    zipf: float | None
    price: tuple[float, float, float] | None  # p25, p50, p75
    price_log_mean: float | None
    price_log_sd: float | None
    categories: int
    brands: int


def read_real(path: Path) -> pl.DataFrame:
    """A normalised file of real traffic as columns buyer, session, type, ms, product, price, ..."""
    frame = pl.read_parquet(path).filter(~pl.col("event_type").is_in(["session_start", "session_end"]))
    return frame.select(
        buyer=pl.coalesce("user_id", "session_id"),
        session=pl.col("session_id"),
        type=pl.col("event_type").replace(EVENT_TYPES),
        ms=pl.col("ts").dt.epoch("ms"),
        product=pl.col("product_id"),
        category=pl.col("category"),
        brand=pl.col("brand"),
        price=pl.col("price").cast(pl.Float64),
        clock=pl.col("ts_precision") != "day+order",
    )


def frame_of(events: Iterable[Event]) -> pl.DataFrame:
    """Generated events as the columns of `read_real`, redeliveries left out."""
    rows = list({event.event_id: event for event in events}.values())
    return pl.DataFrame(
        {
            "buyer": [event.buyer for event in rows],
            "session": [event.session_id for event in rows],
            "type": [str(event.type) for event in rows],
            "ms": [event.timestamp for event in rows],
            "product": [event.product_id for event in rows],
            "category": [event.category for event in rows],
            "brand": [event.brand for event in rows],
            "price": pl.Series([event.price for event in rows], dtype=pl.Float64),
        }
    ).with_columns(clock=pl.lit(True))


def measure(frame: pl.DataFrame) -> Measured:
    """Measure one store's events (columns of `read_real`)."""
    frame = frame.sort("buyer", "session", "ms")
    sessions = frame.group_by("buyer", "session").agg(
        n=pl.len(),
        viewed=(pl.col("type") == "product_view").any(),
        carted=(pl.col("type") == "add_to_cart").any(),
        checkout=(pl.col("type") == "begin_checkout").any(),
        bought=(pl.col("type") == "purchase").any(),
    )
    size = sessions["n"].to_numpy()
    gaps = frame.filter(pl.col("clock")).select(
        (pl.col("ms").diff().over("buyer", "session") / 1000).drop_nulls().alias("gap")
    )["gap"]
    prices = frame["price"].drop_nulls().to_numpy()
    prices = prices[prices > 0]
    mix = frame["type"].value_counts(normalize=True).sort("type")
    return Measured(
        events=len(frame),
        sessions=len(sessions),
        events_per_session=(
            float(size.mean()),
            float(np.quantile(size, 0.9)),
            float(np.quantile(size, 0.99)),
        ),
        single_event_sessions=float((size == 1).mean()),
        sessions_per_buyer=len(sessions) / frame["buyer"].n_unique(),
        event_mix=dict(zip(mix["type"], mix["proportion"], strict=True)),
        view_to_cart=_share(sessions, "carted", "viewed"),
        cart_to_checkout=_share(sessions, "checkout", "carted"),
        sessions_with_purchase=float(sessions["bought"].to_numpy().mean()) or None,
        gap_seconds=_quartiles(gaps.to_numpy()),
        products=frame["product"].n_unique() - int(frame["product"].has_nulls()),
        zipf=_zipf(frame["product"].drop_nulls()),
        price=_quartiles(prices),
        price_log_mean=float(np.log(prices).mean()) if len(prices) else None,
        price_log_sd=float(np.log(prices).std()) if len(prices) else None,
        categories=frame["category"].drop_nulls().n_unique(),
        brands=frame["brand"].drop_nulls().n_unique(),
    )


def _share(sessions: pl.DataFrame, reached: str, of: str) -> float | None:
    """Share of the sessions with `of` that also have `reached`; None where the data has no such event."""
    if not sessions[reached].any():
        return None
    before = sessions.filter(pl.col(of))
    return float(before[reached].to_numpy().mean())


def _quartiles(values: npt.NDArray[np.float64]) -> tuple[float, float, float] | None:
    if not len(values):
        return None
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75]).tolist()
    return low, middle, high


def _zipf(products: pl.Series) -> float | None:
    """Slope of log frequency over log rank, negated, by least squares over the products often seen."""
    counts = products.value_counts(sort=True)["count"].to_numpy()
    counts = counts[counts >= MIN_ZIPF_COUNT]
    if len(counts) < 3:
        return None
    return float(-np.polyfit(np.log(np.arange(1, len(counts) + 1)), np.log(counts), 1)[0])
