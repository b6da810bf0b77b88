"""The bundle that answers now, as far as the API needs it: its catalogue and its stores' mixes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import structlog

from inference.bundles.bundle import load_bundle
from inference.bundles.catalogue import Catalogue
from inference.bundles.reference import Reference, load_reference
from inference.counts.profile import FEATURE
from inference.errors import BundleError, ProfileError, SamplingError
from inference.population import Mix, profiles_mix

log = structlog.get_logger(__name__)

_MOST_GUESSES: Final = 1_000


class Guess(NamedTuple):
    """The store's prior: its most common code, and the type of most buyers with their share, if the bundle's
    forecasts were learned on the store."""

    code: int
    forecast: str | None
    probability: float | None


class ServedModel(NamedTuple):
    """A bundle without its graph. reference is None where a bundle was made before there was one."""

    version: str
    catalogue: Catalogue
    reference: Reference | None
    stores: frozenset[str] = frozenset()

    def mix(self, store: str) -> Mix:
        """p_s(k) of the training buyers, smoothed towards all stores.

        Raises:
            ProfileError: the bundle has no counts.
            SamplingError: nobody was counted.
        """
        if self.reference is None:
            raise ProfileError(f"the bundle {self.version} has no counts of its training buyers")
        return profiles_mix(self.reference.stores, self.reference.pooled, store)

    def guess(self, store: str) -> Guess:
        """What to say of a shopper of whom nothing is known but the store."""
        try:
            shares = self.mix(store).shares
        except (ProfileError, SamplingError):
            shares = np.zeros(FEATURE["codes"].size)
            for card in self.catalogue.codes:
                shares[card.code] = card.share
        code = int(shares.argmax())
        by_type = {kind.name: float(shares[list(kind.codes)].sum()) for kind in self.catalogue.types}
        if not by_type or store not in self.stores:
            return Guess(code, None, None)
        likeliest = max(by_type, key=lambda name: by_type[name])
        return Guess(code, likeliest, by_type[likeliest])


def read_model(folder: Path) -> ServedModel:
    """Check a bundle and keep what is served of it.

    Raises:
        BundleError: it must not be served.
    """
    bundle = load_bundle(folder)
    try:
        reference = load_reference(folder)
    except ProfileError as error:
        log.warning("no_reference", bundle=str(folder), error=str(error))
        reference = None
    return ServedModel(bundle.codebook_version, bundle.catalogue, reference, bundle.stores)


class ModelKeeper:
    """Follows the swaps on the control topic, as the workers do."""

    def __init__(self, folder: Path) -> None:
        """Begin with the bundle in `folder`.

        Raises:
            BundleError: it must not be served.
        """
        self.model = read_model(folder)
        self._guesses: dict[str, Guess] = {}
        self._folder = folder
        self._wanted = folder
        self._swapping: asyncio.Task[None] | None = None

    def guess(self, store: str) -> Guess:
        """See ServedModel.guess; remembered, since every new shopper is answered with it."""
        found = self._guesses.get(store)
        if found is None:
            if len(self._guesses) >= _MOST_GUESSES:  # names of stores may be made up
                self._guesses.clear()
            found = self._guesses[store] = self.model.guess(store)
        return found

    def swap(self, folder: Path) -> None:
        """Serve another bundle as soon as it is read; of several asked for at once the last one stays."""
        self._wanted = folder
        if self._swapping is None or self._swapping.done():
            self._swapping = asyncio.create_task(self._follow())

    async def settled(self) -> None:
        """Wait until the bundle that was asked for last is read."""
        if self._swapping is not None:
            await self._swapping

    async def _follow(self) -> None:
        while self._folder != self._wanted:
            wanted = self._wanted
            try:
                self.model = await asyncio.to_thread(read_model, wanted)
                self._guesses.clear()
            except BundleError as error:  # the workers refuse it, too
                log.error("swap_refused", bundle=str(wanted), error=str(error))
            self._folder = wanted
