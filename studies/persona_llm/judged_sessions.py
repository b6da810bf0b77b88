"""What is judged: sessions of some stores, and the tokens that an encoder trained without one of them gives.

Three sides by buyer (traces.split_of): training buyers fit encoder, models, storefronts and baselines,
validation buyers choose, test buyers are judged.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from feature_store.contract.events import Event
from inference.bundles.bundle import Bundle, load_bundle
from inference.encoders.onnx import OnnxEncoder
from inference.errors import BundleError
from training.encoder.config import TrainConfig
from training.encoder.dataset import training_rows
from training.encoder.train import train
from training.errors import DatasetError, EvaluationError, ExportError
from training.persona_llm.storefront.store_model import StoreModel
from training.persona_llm.traces.traces import KINDS, NO_CODE, Kind, Trace, make_traces
from training.publishing.publish import publish

MIN_EVENTS: Final = 3
"""Shorter sessions show too little to tell one shopper from another."""


class Vectors(NamedTuple):
    """What was known of the buyers when: rows int64 [k] of the traces, vectors float32 [k, W]."""

    rows: NDArray[np.int64]
    vectors: NDArray[np.float32]


class Material(NamedTuple):
    """Sessions without tokens yet, their vectors by kind, and all events of their training buyers."""

    traces: list[Trace]
    vectors: dict[Kind, Vectors]
    training_events: list[list[Event]]
    digest: str

    @classmethod
    def of(cls, batches: Iterable[Sequence[Event]], *, seed: int, most: int | None = None) -> Self:
        """Read a history, given in arrival order, into memory.

        most: judge, and train models on, at most so many buyers of a store; encoders see all training buyers.

        Raises:
            DatasetError: no session is long enough.
        """
        events = [list(batch) for batch in batches]
        rows: list[NDArray[np.float32]] = []

        def remember(vectors: NDArray[np.float32]) -> NDArray[np.int64]:
            first = sum(map(len, rows))
            rows.append(vectors)
            return np.arange(first, first + len(vectors))

        # What comes as a code is the place of a vector, until an encoder says more.
        traces = make_traces(events, remember, min_events=MIN_EVENTS, seed=seed)
        training = {(trace.store, trace.buyer) for trace in traces if trace.split == "train"}
        kept = [[event for event in batch if (event.store, event.buyer) in training] for batch in events]
        buyers = _drawn({(trace.store, trace.buyer) for trace in traces}, most)
        traces = [trace for trace in traces if (trace.store, trace.buyer) in buyers]
        every = np.concatenate(rows)
        vectors: dict[Kind, Vectors] = {}
        for kind in KINDS:
            places = np.array([trace.codes[kind] for trace in traces], np.int64)
            known = np.flatnonzero(places != NO_CODE)
            vectors[kind] = Vectors(known, every[places[known]])
        digest = hashlib.sha256(every.tobytes() + repr([seed, len(traces)]).encode()).hexdigest()[:24]
        return cls(traces, vectors, kept, digest)

    @property
    def stores(self) -> tuple[str, ...]:
        """The stores' names."""
        return tuple(sorted({trace.store for trace in self.traces}))

    def encoder(self, held_out: str | None, config: dict[str, Any], folder: Path) -> Bundle:
        """The encoder trained on the training buyers of all stores but `held_out`, made or found in `folder`.

        Raises:
            EvaluationError: too few buyers to train 256 codes on.
        """
        key = hashlib.sha256(repr([self.digest, held_out, sorted(config.items())]).encode()).hexdigest()[:24]
        out = folder / f"encoder-{key}"
        if not out.exists():
            settings = TrainConfig(**config)
            events = [[event for event in batch if event.store != held_out] for batch in self.training_events]
            data = training_rows(events)
            try:
                trained = train(data, settings)
            except DatasetError as error:
                raise EvaluationError(f"no encoder can be trained for the evaluation: {error}") from error
            try:
                publish(trained, data, out, sources=[self.digest], command="simpersona llm evaluate")
            except (BundleError, ExportError):
                if not out.exists():  # else another run of the command made it meanwhile
                    raise
        return load_bundle(out)

    def coded(self, bundle: Bundle) -> list[Trace]:
        """The traces with the encoder's tokens."""
        encoder = OnnxEncoder(bundle)
        codes = {}
        for kind, (rows, vectors) in self.vectors.items():
            codes[kind] = np.full(len(self.traces), NO_CODE, np.int64)
            if len(rows):
                codes[kind][rows] = encoder.encode(vectors).code
        return [
            replace(trace, codes={kind: int(codes[kind][i]) for kind in KINDS})
            for i, trace in enumerate(self.traces)
        ]

    def storefronts(self, seed: int) -> dict[str, StoreModel]:
        """Catalogue and links of every store, from its training buyers: also of a store that is held out,
        whose pages anyone can see, though not its shoppers' codes."""
        return {
            store: StoreModel.learn(
                store, [t.steps for t in self.traces if t.store == store and t.split == "train"], seed=seed
            )
            for store in self.stores
        }


def _drawn(buyers: Iterable[tuple[str, str]], most: int | None) -> set[tuple[str, str]]:
    """At most `most` buyers of each store, the same ones always."""
    by_store: dict[str, list[str]] = defaultdict(list)
    for store, buyer in sorted(buyers, key=lambda key: hashlib.sha256(repr(key).encode()).digest()):
        by_store[store].append(buyer)
    return {(store, buyer) for store, each in by_store.items() for buyer in each[:most]}
