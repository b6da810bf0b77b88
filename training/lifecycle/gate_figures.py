"""The figures that gates look at: two or more encoders, measured on the same rows."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from feature_store.fold.funnel import STRATA, strata
from inference.bundles.bundle import Bundle
from inference.encoders.graph import CODES, open_graph, run_graph
from training.encoder.axes import EVENTS, MIN_EVENTS, Axes
from training.encoder.dataset import BuyerVectors, split_by_buyer
from training.errors import GateError
from training.evaluation import measures
from training.lifecycle.gate_foresight import EarlyRows, foresight

EVALUATION: Final = "evaluation.json"
_LATENCY_ROWS: Final = 256  # a micro-batch of a busy worker
_LATENCY_ROUNDS: Final = 60
_PARITY_ROWS: Final = 4096
_BATCHES: Final = (1, 7, 256)
_LEAST: Final = (measures.LEAST_BUYERS, 5)
"""Codes of how many buyers incoherence looks at; the smaller where the buyers are too few for the larger."""


class Figures(NamedTuple):
    """What the gates look at, of one encoder: shares, except kappa, auc, lift, perplexity (codes) and
    latency (ms per batch of 256 rows, one thread). NaN: the rows cannot say.

    apart holds, of the figures that training.lifecycle.gate_foresight measures, the 95 % interval of the
    difference to the first of the encoders that were measured together.
    """

    purity: float
    incoherence: float
    js: float
    perplexity: float
    changed_codes: float
    latency_ms: float
    kappa: float = math.nan
    ece: float = math.nan
    auc: float = math.nan
    lift: float = math.nan
    apart: Mapping[str, tuple[float, float]] = MappingProxyType({})


class GateRows(NamedTuple):
    """Whole histories of the buyers that gates look at: vectors float32 [n, W], raw; store int64 [n];
    held_out bool [n], True for buyers that the candidate was not trained on; engagement and exploration
    int64 [n], levels by the terciles of the others. early: the same buyers within their sessions."""

    vectors: NDArray[np.float32]
    store: NDArray[np.int64]
    held_out: NDArray[np.bool_]
    engagement: NDArray[np.int64]
    exploration: NDArray[np.int64]
    early: EarlyRows

    @classmethod
    def of(cls, data: BuyerVectors, validation_share: float, seed: int) -> Self:
        """The buyers of `data` with MIN_EVENTS events or more, split as training splits them.

        Raises:
            GateError: no buyer is left on one of both sides.
        """
        _, validation = split_by_buyer(data, validation_share, seed)
        held_out = np.zeros(len(data.vectors), dtype=np.bool_)
        held_out[validation] = True
        rows = np.flatnonzero(data.whole & (data.vectors[:, EVENTS] >= MIN_EVENTS))
        vectors, held_out = data.vectors[rows], held_out[rows]
        if not held_out.any() or held_out.all():
            raise GateError(
                f"{len(rows)} buyers with {MIN_EVENTS} events or more are too few to compare encoders on"
            )
        _, store = np.unique([data.buyers[buyer][0] for buyer in data.buyer[rows]], return_inverse=True)
        levels = Axes.fit(vectors[~held_out]).levels(vectors)
        early = EarlyRows.of(data, validation)
        return cls(vectors, store.astype(np.int64), held_out, levels.engagement, levels.exploration, early)


def measure(bundles: Sequence[Bundle], rows: GateRows) -> list[Figures]:
    """The figures of each bundle on the same rows.

    Purity and JS (training.evaluation.measures) are of held-out buyers, by the funnel strata that the other
    buyers of their code reached; JS is the mean over stores. Incoherence is that of the worse of both axes,
    in codes of 10 buyers or more; of 5 for all encoders where one has no code of 10. What they foresee:
    gate_foresight.
    """
    codes = [run_graph(open_graph(bundle.model, threads=1), rows.vectors).code for bundle in bundles]
    fullest = min(int(np.bincount(each).max()) for each in codes)
    least = next((count for count in _LEAST if fullest >= count), _LEAST[-1])
    latencies = latencies_ms(bundles, rows.vectors)
    plain = [_figures(*one, rows, least) for one in zip(bundles, codes, latencies, strict=True)]
    foreseen = foresight(bundles, rows.early)
    return [one._replace(**extra) for one, extra in zip(plain, foreseen, strict=True)]


def _figures(
    bundle: Bundle, codes: NDArray[np.int64], latency_ms: float, rows: GateRows, least: int
) -> Figures:
    stratum, classes = strata(rows.vectors), len(STRATA)
    held, rest = rows.held_out, ~rows.held_out
    majority = measures.majorities(codes[rest], stratum[rest], classes, CODES)
    mixes = measures.stratum_mixes(codes[rest], stratum[rest], classes, CODES)
    everyone = measures.once(len(codes))
    divergences = []
    for store in np.unique(rows.store[held]):
        here = held & (rows.store == store)
        once = measures.once(int(here.sum()))
        divergences.append(measures.funnel_divergence(mixes[codes[here]], stratum[here], once)[0])
    axes = [
        measures.incoherence(codes, axis, everyone, least)[0] for axis in (rows.engagement, rows.exploration)
    ]
    return Figures(
        purity=float(
            measures.accuracy(majority[codes[held]], stratum[held], measures.once(int(held.sum())))[0]
        ),
        incoherence=float(max(axes)),
        js=float(np.mean(divergences)),
        perplexity=float(measures.perplexity(codes, everyone)[0]),
        changed_codes=changed_codes(bundle, rows.vectors),
        latency_ms=latency_ms,
    )


def latencies_ms(bundles: Sequence[Bundle], vectors: NDArray[np.float32]) -> list[float]:
    """Fastest time of a batch for each bundle, in turns, so that a busy machine slows all alike."""
    rows = np.resize(vectors, (_LATENCY_ROWS, vectors.shape[1]))
    sessions = [open_graph(bundle.model, threads=1) for bundle in bundles]
    best = [math.inf] * len(bundles)
    for _ in range(_LATENCY_ROUNDS):
        for i, session in enumerate(sessions):
            started = time.perf_counter()
            run_graph(session, rows)
            best[i] = min(best[i], (time.perf_counter() - started) * 1000)
    return best


def changed_codes(bundle: Bundle, vectors: NDArray[np.float32]) -> float:
    """Share of rows whose code was another in torch, as `parity` of evaluation.json has it, or is another
    here when the batch has another size; the larger of both. 1 where no parity was recorded."""
    rows = vectors[:_PARITY_ROWS]
    session = open_graph(bundle.model, threads=1)
    codes = run_graph(session, rows).code
    changed = np.zeros(len(rows), dtype=np.bool_)
    for size in _BATCHES:
        parts = [run_graph(session, rows[i : i + size]).code for i in range(0, len(rows), size)]
        changed |= np.concatenate(parts) != codes
    parity = json.loads((bundle.folder / EVALUATION).read_bytes()).get("parity")
    return max(float(changed.mean()), len(parity["ties"]) / parity["rows"] if parity else 1.0)
