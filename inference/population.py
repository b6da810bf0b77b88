"""Populations: tokens drawn from p_s(k), the share of each code among a store's buyers.

SimPersona (paper.md) describes a store by its empirical distribution over the codebook. To simulate the store
it draws one token per agent. A store with few buyers has too few counts for 256 shares, so they are smoothed
towards the mix of all stores: p_s(k) = (n_k + PRIOR_BUYERS q(k)) / (n + PRIOR_BUYERS). This is the mean of a
Dirichlet posterior whose prior counts as much as PRIOR_BUYERS buyers of the pooled mix q.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.online.assignment import token
from inference.counts.profile import FEATURE, Counts
from inference.encoders.graph import CODES
from inference.errors import SamplingError

PRIOR_BUYERS: Final = 100
"""A store with more buyers than this is described more by its own mix than by the pooled one."""


class Mix(NamedTuple):
    """p_s(k).

    shares: float64 [256], sum 1. buyers: the store's buyers that were counted. pooled_share: how much of it
    is the pooled mix; 1.0 for a store that is not known.
    """

    shares: NDArray[np.float64]
    buyers: int
    pooled_share: float

    @property
    def note(self) -> str:
        """A sentence for the reader of a sample: what the mix is based on."""
        if self.buyers == 0:
            return "no buyer of this store was counted: this is the mix of all stores"
        return (
            f"{self.buyers:,} buyers of this store; {self.pooled_share:.0%} of the mix is that of all stores"
        )


def store_mix(store: NDArray[np.int64], pooled: NDArray[np.int64]) -> Mix:
    """The mix of a store, from counts of codes int64 [256] of the store and of all stores.

    Raises:
        SamplingError: no buyer was counted in any store.
    """
    buyers, everyone = int(store.sum()), int(pooled.sum())
    if buyers + everyone == 0:
        raise SamplingError("no buyer was counted yet, so there is no mix to draw from")
    prior = pooled / everyone if everyone else store / buyers
    shares = (store + PRIOR_BUYERS * prior) / (buyers + PRIOR_BUYERS)
    return Mix(shares / shares.sum(), buyers, PRIOR_BUYERS / (buyers + PRIOR_BUYERS))


def profiles_mix(stores: Mapping[str, Counts], pooled: Counts, store: str) -> Mix:
    """The mix of a store by the profiles of stores and that of all together; an unknown one has the latter.

    Raises:
        SamplingError: nobody was counted at all.
    """
    codes = FEATURE["codes"].cells
    own = stores.get(store)
    return store_mix(np.zeros(CODES, np.int64) if own is None else own[codes], pooled[codes])


def only_codes(mix: Mix, codes: Collection[int]) -> Mix:
    """The mix restricted to some codes.

    Raises:
        SamplingError: no buyer has one of them.
    """
    kept = np.zeros(CODES, dtype=np.bool_)
    kept[list(codes)] = True
    shares = np.where(kept, mix.shares, 0.0)
    if shares.sum() == 0:
        raise SamplingError("no buyer that was counted is of that kind, so there is nothing to draw from")
    return mix._replace(shares=shares / shares.sum())


def draw_codes(mix: Mix, n: int, seed: int) -> NDArray[np.int64]:
    """n codes int64 [n], drawn independently. The same mix and seed give the same codes, and a smaller n
    gives the first of them."""
    cumulative = np.cumsum(mix.shares)
    places = np.random.default_rng(seed).random(n) * cumulative[-1]
    return np.asarray(np.searchsorted(cumulative, places, side="right"), dtype=np.int64)


def tokens(codes: NDArray[np.int64]) -> list[str]:
    """The persona tokens of codes int64 [n]."""
    return [token(code) for code in codes.tolist()]
