"""The shops' products: category path, brand, price and popularity, as flat tables over all stores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ops.traffic.config import StoreProfile, TrafficConfig, figures
from ops.traffic.wide_shops import wide_profiles

_DEPARTMENTS: Final = ("home", "electronics", "apparel", "beauty", "sport", "garden", "toys", "office")
_SHELVES: Final = (
    "classic",
    "compact",
    "premium",
    "outdoor",
    "travel",
    "kids",
    "studio",
    "basic",
    "smart",
    "eco",
)
_QUERY_WORDS: Final = ("best", "cheap", "new", "sale")
QUERIES_PER_CATEGORY: Final = len(_QUERY_WORDS)


@dataclass(frozen=True)
class Catalogue:
    """Products of all stores in one table, sorted by store and then by category.

    Products are int32 indices; lists end with None, so that index -1 reads "no product". cumulative:
    float64 [products + 1], popularity summed up, each store weighing 1. category_bounds: int64
    [categories + 1], first product of each category. store_categories: int64 [stores + 1], first
    category of each store. minor: int64 [products], price in minor units. price_rank: float64
    [products] in [0, 1] within the store.
    """

    profiles: tuple[StoreProfile, ...]
    store_names: list[str]
    product_ids: list[str | None]
    product_categories: list[int]
    brands: list[str | None]
    categories: list[str | None]
    queries: list[str | None]
    minor: npt.NDArray[np.int64]
    price_rank: npt.NDArray[np.float64]
    cumulative: npt.NDArray[np.float64]
    category_bounds: npt.NDArray[np.int64]
    store_categories: npt.NDArray[np.int64]


def build_catalogue(stores: int, seed: int, profiles: tuple[StoreProfile, ...] | None = None) -> Catalogue:
    """Draw the products of `stores` shops; shop i has profile i modulo the number of profiles.

    Store i is the same whatever the number of stores. Profiles: the fitted ones if None.
    """
    kinds = profiles or figures().profiles
    profiles = tuple(kinds[i % len(kinds)] for i in range(stores))
    names = [
        profile.name if i < len(kinds) else f"{profile.name}-{i // len(kinds) + 1}"
        for i, profile in enumerate(profiles)
    ]
    product_ids: list[str | None] = []
    brands: list[str | None] = []
    categories: list[str | None] = []
    minors, ranks, weights, counts = [], [], [], []
    store_categories = [0]
    for store, profile in enumerate(profiles):
        rng = np.random.default_rng([seed, 0, store])
        n = profile.products
        category = np.sort(rng.integers(0, profile.categories, n))
        category[: min(n, profile.categories)] = np.arange(min(n, profile.categories))  # none stays empty
        category.sort()
        log_price = rng.normal(profile.price_log_mean, profile.price_log_sd, n)
        minor = np.maximum(np.round(np.exp(log_price) * 10**profile.currency_digits), 1).astype(np.int64)
        popularity = rng.permutation(np.arange(1, n + 1, dtype=np.float64) ** -profile.zipf)
        brand = rng.integers(0, profile.brands, n)
        product_ids += [f"p{store}-{i}" for i in range(n)]
        brands += [f"brand-{b}" for b in brand.tolist()]
        categories += [_category_path(i) for i in range(profile.categories)]
        minors.append(minor)
        ranks.append(np.argsort(np.argsort(minor, kind="stable"), kind="stable") / max(n - 1, 1))
        weights.append(popularity / popularity.sum())
        counts.append(np.bincount(category, minlength=profile.categories))
        store_categories.append(store_categories[-1] + profile.categories)
    bounds = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    queries: list[str | None] = [
        f"{word} {str(path).rsplit('/', 1)[-1]}" for path in categories for word in _QUERY_WORDS
    ]
    return Catalogue(
        profiles=profiles,
        store_names=names,
        product_ids=[*product_ids, None],
        product_categories=[*np.repeat(np.arange(len(bounds) - 1), np.diff(bounds)).tolist(), -1],
        brands=[*brands, None],
        categories=[*categories, None],
        queries=[*queries, None],
        minor=np.concatenate(minors),
        price_rank=np.concatenate(ranks),
        cumulative=np.concatenate([[0.0], np.cumsum(np.concatenate(weights))]),
        category_bounds=bounds,
        store_categories=np.array(store_categories),
    )


def catalogue_of(config: TrafficConfig, seed: int) -> Catalogue:
    """The products of a run's shops."""
    wide = wide_profiles(config.stores, seed) if config.wide else None
    return build_catalogue(config.stores, seed, wide)


def _category_path(index: int) -> str:
    """Two levels, coarse to fine, so that neighbours in number share a department."""
    department = _DEPARTMENTS[index // len(_SHELVES) % len(_DEPARTMENTS)]
    shelf = _SHELVES[index % len(_SHELVES)]
    block = index // (len(_SHELVES) * len(_DEPARTMENTS))
    return f"{department}/{shelf}" if block == 0 else f"{department}/{shelf}-{block + 1}"
