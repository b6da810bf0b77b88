"""Fit the generator to real shops: `python -m ops.traffic.fit ../shared/data`.

Writes ops/traffic/figures.json (aggregates, never a row) and docs/traffic.md (real against generated).
Prices, catalogue and pace are read off the data. The shares of the latent types are the mixture weights
that make the real sessions likeliest, by expectation maximisation with the types' own behaviour held
fixed: a session counts by its length and by how deep in the funnel it came. Where a file cannot tell
types apart (views only), a Dirichlet prior worth `_PRIOR_SHARE` of the sessions decides.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from feature_store.contract.events import EVENT_TYPES
from ops.traffic.buyer_types import BUYER_TYPES
from ops.traffic.catalogue import build_catalogue
from ops.traffic.config import Figures, StoreProfile
from ops.traffic.fit_report import write_report
from ops.traffic.measure import Measured, measure, read_real
from ops.traffic.population import Traits
from ops.traffic.sessions import Walk, Walker

_FIGURES: Final = Path(__file__).with_name("figures.json")
_REPORT: Final = Path(__file__).parents[2] / "docs" / "traffic.md"
_ALL: Final = EVENT_TYPES
_PRIOR: Final = np.array([0.35, 0.2, 0.1, 0.12, 0.08, 0.03, 0.05, 0.07])
_PRIOR_SHARE: Final = 0.05
_LENGTHS: Final = np.array([1, 2, 3, 4, 5, 7, 10, 15, 25])
"""Lower bounds of the classes of session length."""
Floats = npt.NDArray[np.float64]

_SAMPLE: Final = 6_000
_NOISE: Final = 0.05
_PERSISTENCE: Final = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)


class _Shop(msgspec.Struct, frozen=True, kw_only=True):
    """What a real file cannot say: the profile to fit, with assumptions for the columns that are null.

    min_events: the file keeps only sessions of so many events; generated ones are cut alike to compare.
    """

    file: str
    min_events: int = 1
    profile: StoreProfile


def _assumed(
    name: str, file: str, currency: str, types: tuple[str, ...], *, views_carry_price: bool = True
) -> StoreProfile:
    """A profile with the assumptions; the fit replaces each that the data states."""
    return StoreProfile(
        name=name,
        fitted_to=file,
        currency=currency,
        currency_digits=2,
        event_types=types,
        views_carry_price=views_carry_price,
        products=400,
        categories=12,
        brands=20,
        zipf=0.8,
        price_log_mean=3.6,
        price_log_sd=0.9,
        pace=1.0,
        persistence=1.0,
        type_mix=tuple(_PRIOR.tolist()),
    )


_PUFFY_TYPES: Final = (
    "page_view",
    "list_view",
    "product_view",
    "add_to_cart",
    "view_cart",
    "begin_checkout",
    "purchase",
    "sign_up",
)
_SHOPS: Final = (
    _Shop(
        file="rees46_multicategory",
        profile=_assumed("electronics", "rees46_multicategory", "USD", _ALL),
    ),
    _Shop(file="eshop_clothing_2008", profile=_assumed("fashion", "eshop_clothing_2008", "EUR", _ALL)),
    _Shop(
        file="software_store_1999",
        min_events=2,
        profile=_assumed("software", "software_store_1999", "USD", _ALL),
    ),
    _Shop(
        file="puffy",
        profile=_assumed("mattress", "puffy", "USD", _PUFFY_TYPES, views_carry_price=False),
    ),
    _Shop(file="yoochoose", min_events=2, profile=_assumed("general", "yoochoose", "GBP", _ALL)),
    _Shop(
        file="diginetica",
        profile=_assumed(
            "marketplace", "diginetica", "EUR", ("product_view", "search", "add_to_cart", "purchase")
        ),
    ),
)


def main(data: Path) -> None:
    """Fit, then write the figures and the report."""
    fitted, measured = fit(data)
    _FIGURES.write_bytes(msgspec.json.format(msgspec.json.encode(fitted), indent=1) + b"\n")
    write_report(_REPORT, fitted, measured, {shop.file: shop.min_events for shop in _SHOPS})


def fit(data: Path) -> tuple[Figures, dict[str, Measured]]:
    """Measure every shop in the folder `data` and fit its profile; the measures by file."""
    real = {shop.file: read_real(data / f"{shop.file}.parquet") for shop in _SHOPS}
    measured = {name: measure(frame) for name, frame in real.items()}
    described = tuple(_describe(shop.profile, measured[shop.file]) for shop in _SHOPS)
    median, log_sd = _return_hours(real["puffy"])
    profiles = tuple(
        _fit_behaviour(shop, profile, real[shop.file], measured[shop.file])
        for shop, profile in zip(_SHOPS, described, strict=True)
    )
    fitted = Figures(return_hours_median=median, return_hours_log_sd=log_sd, profiles=profiles)
    return fitted, measured


def _describe(profile: StoreProfile, real: Measured) -> StoreProfile:
    """Catalogue and prices, as far as the data states them."""
    known: dict[str, float] = {}
    if real.products:
        known["products"] = real.products
    if real.categories:
        known["categories"] = real.categories
    if real.brands or real.products:
        known["brands"] = max(real.brands, 1)
    if real.zipf is not None:
        known["zipf"] = round(real.zipf, 3)
    if real.price_log_mean is not None and real.price_log_sd is not None:
        known["price_log_mean"] = round(real.price_log_mean, 3)
        known["price_log_sd"] = round(real.price_log_sd, 3)
    return msgspec.structs.replace(profile, **known)


def _return_hours(frame: pl.DataFrame) -> tuple[float, float]:
    """Median and log-sd (from the quartiles) of the hours between a buyer's session starts."""
    starts = frame.group_by("buyer", "session").agg(pl.col("ms").min()).sort("buyer", "ms")
    hours = starts.select(pl.col("ms").diff().over("buyer") / 3_600_000)["ms"].drop_nulls().to_numpy()
    low, middle, high = np.quantile(hours, [0.25, 0.5, 0.75])
    return round(float(middle), 2), round(float(np.log(high / low) / 1.349), 3)


def _fit_behaviour(shop: _Shop, draft: StoreProfile, frame: pl.DataFrame, real: Measured) -> StoreProfile:
    """Persistence and shares of the latent types, jointly likeliest; then the pace of the median gap."""
    observed = frozenset(real.event_mix)
    counts = _real_signatures(frame, shop.min_events)
    best, best_score, best_walks = draft, -np.inf, list[Walk]()
    for persistence in _PERSISTENCE:
        profile = msgspec.structs.replace(draft, persistence=persistence)
        walks = [_sample(profile, kind) for kind in range(len(BUYER_TYPES))]
        likelihood = np.stack([_signatures(walk, observed, shop.min_events) for walk in walks])
        likelihood = likelihood / likelihood.sum(axis=1, keepdims=True)
        mix = mixture_weights(counts, likelihood)
        score = float((counts * np.log(mix @ likelihood)).sum())
        if score > best_score:
            best = msgspec.structs.replace(profile, type_mix=tuple(np.round(mix, 4).tolist()))
            best_score, best_walks = score, walks
    if real.gap_seconds is None:
        return best
    parts = zip(best_walks, best.type_mix, strict=True)
    gaps = np.concatenate([_gaps(walk, observed, round(_SAMPLE * share)) for walk, share in parts])
    return msgspec.structs.replace(best, pace=round(real.gap_seconds[1] * 1000 / float(np.median(gaps)), 3))


def _sample(profile: StoreProfile, kind: int) -> Walk:
    """Sessions of one latent type in one shop."""
    one = np.ones(_SAMPLE, dtype=np.int64)
    traits = Traits(store=0 * one, type=kind * one, home=0 * one, taste=np.full(_SAMPLE, 0.5))
    walker = Walker(build_catalogue(1, seed=0, profiles=(profile,)), _NOISE)
    return walker.walk(traits, np.random.default_rng(kind))


def mixture_weights(counts: Floats, likelihood: Floats) -> Floats:
    """Maximum a posteriori weights of known components, by expectation maximisation.

    counts: sessions of each class, float64 [classes]. likelihood: of a class in a type, float64 [types,
    classes], rows summing to 1. Weights: float64 [types], summing to 1.
    """
    pseudo = _PRIOR * counts.sum() * _PRIOR_SHARE
    weights = _PRIOR.copy()
    for _ in range(500):
        joint = weights[:, None] * likelihood
        weights = (joint / joint.sum(axis=0) * counts).sum(axis=1) + pseudo
        weights = weights / weights.sum()
    return weights


def _class(length: npt.NDArray[np.int64], *deeds: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """A session's class: of its length, and whether it carted, began a checkout, bought."""
    number = np.searchsorted(_LENGTHS, length, side="right") - 1
    for deed in deeds:
        number = number * 2 + deed
    return number


def _real_signatures(frame: pl.DataFrame, min_events: int) -> Floats:
    sessions = frame.group_by("buyer", "session").agg(
        n=pl.len(),
        **{name: (pl.col("type") == name).any() for name in ("add_to_cart", "begin_checkout", "purchase")},
    )
    sessions = sessions.filter(pl.col("n") >= min_events)
    deeds = [sessions[name].to_numpy() for name in ("add_to_cart", "begin_checkout", "purchase")]
    found = _class(sessions["n"].to_numpy().astype(np.int64), *deeds)
    return np.bincount(found, minlength=len(_LENGTHS) * 8).astype(np.float64)


def _signatures(walk: Walk, observed: frozenset[str], min_events: int) -> Floats:
    """Counts of generated sessions by class, seen through a pixel that sends `observed`; smoothed."""
    seen = np.array([name in observed for name in EVENT_TYPES])[walk.type]
    length = np.bincount(walk.session[seen], minlength=_SAMPLE)
    deeds = []
    for name in ("add_to_cart", "begin_checkout", "purchase"):
        did = np.zeros(_SAMPLE, dtype=np.bool_)
        if name in observed:
            did[walk.session[walk.type == EVENT_TYPES.index(name)]] = True
        deeds.append(did)
    kept = length >= min_events
    found = _class(length[kept], *(did[kept] for did in deeds))
    smoothed: Floats = np.bincount(found, minlength=len(_LENGTHS) * 8) + np.float64(0.05)
    return smoothed


def _gaps(walk: Walk, observed: frozenset[str], sessions: int) -> npt.NDArray[np.int64]:
    """Times between observed events of the first `sessions` sessions, in ms."""
    seen = np.array([name in observed for name in EVENT_TYPES])[walk.type]
    rows = np.flatnonzero(seen & (walk.session < sessions))
    order = rows[np.lexsort((walk.step[rows], walk.session[rows]))]
    same = np.diff(walk.session[order]) == 0
    gaps: npt.NDArray[np.int64] = np.diff(walk.offset[order])[same]
    return gaps


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m ops.traffic.fit DATA_FOLDER")
    main(Path(sys.argv[1]))
