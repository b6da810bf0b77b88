"""Who shops, and when: a buyer's latent traits and the starts of his sessions.

Traits are pure functions of (seed, buyer number), so that nothing is kept a buyer: any part of the
population can be asked for again, which is also how the ground truth is read back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ops.traffic.buyer_types import BUYER_TYPES, TYPE_NAMES, comes_back
from ops.traffic.catalogue import Catalogue
from ops.traffic.config import MAX_SESSION_MS, MIN_GAP_MS, TrafficConfig, figures

MAX_SESSIONS: Final = 12
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
_STORE, _TYPE, _HOME, _TASTE, _ARRIVAL, _NAME = range(6)
_TASTE_WIDTH: Final = 0.4
"""How far a buyer's price taste lies from his type's, at most."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Traits:
    """Of n buyers: store number, latent type (BUYER_TYPES order) and home category, int64 [n] each;
    taste: where in the store's price range the buyer likes to look, float64 [n] in [0, 1].
    """

    store: Ints
    type: Ints
    home: Ints
    taste: Floats

    def take(self, rows: Ints) -> Traits:
        """The traits of the given rows."""
        return Traits(self.store[rows], self.type[rows], self.home[rows], self.taste[rows])


class Population:
    """Buyers 0, 1, 2, ... of one run."""

    def __init__(self, config: TrafficConfig, catalogue: Catalogue, seed: int) -> None:
        self._config = config
        self._catalogue = catalogue
        self._seed = seed
        mixes = np.array([profile.type_mix for profile in catalogue.profiles])
        favoured = np.array([float(name == config.favour) for name in TYPE_NAMES])
        shifted = (1 - config.favour_share) * mixes + config.favour_share * favoured
        # [before the shift, after it]: cumulative shares by store
        self._type_cumulative = np.cumsum([mixes, shifted if config.favour else mixes], axis=2)
        self._comes_back = np.stack([comes_back(profile.comes_back) for profile in catalogue.profiles])
        self._away = np.array([profile.away for profile in catalogue.profiles])
        self._price_quantile = np.array([buyer_type.price_quantile for buyer_type in BUYER_TYPES])
        # one day of the diurnal curve, integrated: wall hours <-> hours of constant traffic
        self._grid = np.linspace(0.0, _DAY_MS, 24 * 60 + 1)
        self._busy = _integrated_day(self._grid, config.diurnal, config.peak_hour)
        self._rate = config.buyers / self._to_busy(config.hours * _HOUR_MS)
        self._favoured_from = int(self._rate * self._to_busy(config.favour_after_hours * _HOUR_MS))

    def traits(self, buyers: Ints) -> Traits:
        """Store, type, home category and price taste of the buyers with these numbers."""
        store = (self._uniform(buyers, _STORE) * len(self._catalogue.profiles)).astype(np.int64)
        cumulative = self._type_cumulative[(buyers >= self._favoured_from).astype(np.int64), store, :-1]
        kind = (self._uniform(buyers, _TYPE)[:, None] >= cumulative).sum(axis=1)
        first = self._catalogue.store_categories[store]
        width = self._catalogue.store_categories[store + 1] - first
        home = first + (self._uniform(buyers, _HOME) ** 2 * width).astype(np.int64)
        leaning = (2 * self._uniform(buyers, _TASTE) - 1) * _TASTE_WIDTH
        return Traits(store, kind, home, np.clip(self._price_quantile[kind] + leaning, 0.0, 1.0))

    def names(self, buyers: Ints) -> list[str]:
        """Buyer ids as they are written: 16 hex digits, different for different numbers."""
        return [f"{bits:016x}" for bits in self._bits(buyers, _NAME).tolist()]

    def arrivals_before(self, first: int, end_ms: int) -> tuple[Ints, Ints]:
        """Numbers and first-session starts (ms) of buyers from `first` on who arrive before end_ms."""
        rate = self._rate
        elapsed = end_ms - self._config.start_ms
        last = int(rate * self._to_busy(elapsed)) + 1
        buyers = np.arange(first, max(last, first), dtype=np.int64)
        busy = (buyers + self._uniform(buyers, _ARRIVAL)) / rate
        arrivals = self._config.start_ms + self._from_busy(busy).astype(np.int64)
        before = int(np.searchsorted(arrivals, end_ms))
        return buyers[:before], arrivals[:before]

    def later_sessions(
        self, buyers: Ints, first_starts: Ints, rng: np.random.Generator
    ) -> tuple[Ints, Ints, Ints]:
        """The sessions after the first: (buyer, session number from 1 on, start ms), int64 [m] each.

        Returns are geometric in number (the type's comes_back); the time away is log-normal, in
        hours of constant traffic, so that returning buyers keep the diurnal curve too.
        """
        fitted = figures()
        traits = self.traits(buyers)
        p = self._comes_back[traits.store, traits.type]
        counts = np.minimum(rng.geometric(1 - p) - 1, MAX_SESSIONS - 1)
        away = rng.lognormal(
            np.log(fitted.return_hours_median), fitted.return_hours_log_sd, (len(buyers), MAX_SESSIONS - 1)
        )
        away *= self._away[traits.store][:, None]
        out: list[tuple[Ints, Ints, Ints]] = []
        starts = first_starts
        for number in range(1, MAX_SESSIONS):
            stays = counts >= number
            buyers, starts, counts, away = buyers[stays], starts[stays], counts[stays], away[stays]
            if not len(buyers):
                break
            busy = self._to_busy_array(starts - self._config.start_ms) + away[:, number - 1] * _HOUR_MS
            drawn = self._config.start_ms + self._from_busy(busy).astype(np.int64)
            starts = np.maximum(drawn, starts + MAX_SESSION_MS + MIN_GAP_MS)
            out.append((buyers, np.full(len(buyers), number, dtype=np.int64), starts))
        if not out:
            empty = np.zeros(0, dtype=np.int64)
            return empty, empty, empty
        return (
            np.concatenate([part[0] for part in out]),
            np.concatenate([part[1] for part in out]),
            np.concatenate([part[2] for part in out]),
        )

    def _to_busy(self, elapsed_ms: float) -> float:
        return float(self._to_busy_array(np.array([elapsed_ms]))[0])

    def _to_busy_array(self, elapsed_ms: Ints | Floats) -> Floats:
        days, rest = np.divmod(elapsed_ms + self._phase(), _DAY_MS)
        busy: Floats = days * _DAY_MS + np.interp(rest, self._grid, self._busy) - self._busy_phase()
        return busy

    def _from_busy(self, busy: Floats) -> Floats:
        days, rest = np.divmod(busy + self._busy_phase(), _DAY_MS)
        elapsed: Floats = days * _DAY_MS + np.interp(rest, self._busy, self._grid) - self._phase()
        return elapsed

    def _phase(self) -> int:
        return self._config.start_ms % _DAY_MS

    def _busy_phase(self) -> float:
        return float(np.interp(self._phase(), self._grid, self._busy))

    def _bits(self, buyers: Ints, trait: int) -> npt.NDArray[np.uint64]:
        """64 well-mixed bits per buyer: the SplitMix64 finaliser, a bijection of the buyer's number.

        Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014).
        """
        salt = int(np.random.SeedSequence([self._seed, trait]).generate_state(1, np.uint64)[0])
        x = (buyers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(salt)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))

    def _uniform(self, buyers: Ints, trait: int) -> Floats:
        uniform: Floats = (self._bits(buyers, trait) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return uniform


def _integrated_day(grid: Floats, swing: float, peak_hour: float) -> Floats:
    """Integral of 1 + swing * cos(time from the peak) from midnight on; a whole day sums to a day."""
    angle = 2 * np.pi * (grid / _HOUR_MS - peak_hour) / 24
    swung = swing * _DAY_MS / (2 * np.pi) * (np.sin(angle) - np.sin(angle[0]))
    integral: Floats = (grid + swung).astype(np.float64)
    integral[-1] = _DAY_MS  # exactly, or the inverse would leave a hole at midnight
    return integral
