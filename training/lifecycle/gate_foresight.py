"""What a candidate must not lose: that its codes and types say what comes, and how sure they may be.

Judged are states inside a session, of buyers that the candidate was not trained on. What comes is whether the
buyer gets deeper into the funnel before the session ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from inference.bundles.bundle import Bundle
from inference.encoders.encoder import Encoding
from inference.encoders.graph import CODES
from inference.encoders.onnx import OnnxEncoder
from training.encoder.dataset import BuyerVectors
from training.encoder.outcomes import OUTCOMES, outcomes_of
from training.evaluation import measures
from training.evaluation.bootstrap import Bootstrap, Measure, interval
from training.evaluation.foresight import base_rates, group_rates
from training.evaluation.points import LANDMARKS

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

LEAST_POSITIVES: Final = 100
"""Fewer buyers who got deeper decide nothing: the interval of an AUC would be .1 wide."""


_FUNNEL: Final = [OUTCOMES.index(name) for name in ("cart", "checkout", "purchase")]


class EarlyRows(NamedTuple):
    """States after 3, 5 and 10 events of a session: vectors float32 [n, W] raw; end float32 [n, W], the same
    buyers at the end of the session; deeper bool [n], whether a first cart, checkout or purchase of the
    session comes later in it; buyer, store and events int64 [n]; held_out bool [n]."""

    vectors: NDArray[np.float32]
    end: NDArray[np.float32]
    deeper: Bools
    buyer: Ints
    store: Ints
    events: Ints
    held_out: Bools

    @classmethod
    def of(cls, data: BuyerVectors, validation: Ints) -> Self:
        """Those of sessions that are over; held out are those among the rows int64 [m] `validation`."""
        came = outcomes_of(data)
        over = came.known[:, OUTCOMES.index("leaves_1")]
        rows = np.flatnonzero(over & np.isin(data.position, LANDMARKS))
        held_out = np.zeros(len(data.vectors), dtype=np.bool_)
        held_out[validation] = True
        buyer = data.buyer[rows]
        stores: NDArray[Any] = np.array([data.buyers[one][0] for one in buyer.tolist()], dtype=str)
        return cls(
            data.vectors[rows],
            data.vectors[data.session_end[rows]],
            np.asarray(came.happened[rows][:, _FUNNEL].any(axis=1)),
            buyer,
            np.unique(stores, return_inverse=True)[1].astype(np.int64),
            data.position[rows],
            held_out[rows],
        )


def foresight(bundles: Sequence[Bundle], rows: EarlyRows) -> list[dict[str, Any]]:
    """Of each bundle kappa, ece, auc and lift, and `apart`: their differences to the first bundle's.

    kappa: of the type that is said with the type at the end of the session. ece: of the probability that is
    said of it. auc and lift (of the tenth with the highest scores): the rate of each code, fitted on the
    other buyers, against who gets deeper. Nothing where fewer than LEAST_POSITIVES held-out buyers get
    deeper; no kappa and no ece where the bundle says no type, or none with a probability.
    """
    held = np.flatnonzero(rows.held_out)
    if len(np.unique(rows.buyer[held[rows.deeper[held]]])) < LEAST_POSITIVES:
        return [{"apart": {}} for _ in bundles]
    buyers, place = np.unique(rows.buyer[held], return_inverse=True)
    store_of = np.zeros(len(buyers), dtype=np.int64)
    store_of[place] = rows.store[held]
    bootstrap = Bootstrap(len(buyers), seed=0, strata=store_of)
    samples = [
        {name: bootstrap.all(_by_buyer(measure, place)) for name, measure in _panel(one, rows).items()}
        for one in bundles
    ]
    first = samples[0]
    return [
        {
            **{name: float(values[0]) for name, values in one.items()},
            "apart": {
                name: tuple(interval(float(apart[0]), apart[1:])[1:])
                for name, apart in ((name, one[name] - first[name]) for name in one if name in first)
            },
        }
        for one in samples
    ]


def _by_buyer(measure: Measure, place: Ints) -> Measure:
    """A measure of rows as one of buyers: all rows of a buyer are drawn together."""
    return lambda weights: measure(weights[:, place])


def _panel(bundle: Bundle, rows: EarlyRows) -> dict[str, Measure]:
    encoder = OnnxEncoder(bundle)
    now, end = encoder.encode(rows.vectors), encoder.encode(rows.end)
    held, deeper = rows.held_out, rows.deeper
    cell = rows.store * (max(LANDMARKS) + 1) + rows.events
    base = base_rates(cell, deeper, ~held)
    score = group_rates(now.code, rows.store, base, deeper, ~held)[held]
    panel: dict[str, Measure] = {
        "auc": partial(_mean_of_stores, measures.auc, score, deeper[held], rows.store[held]),
        "lift": partial(_mean_of_stores, measures.lift, score, deeper[held], rows.store[held]),
    }
    said, sure = _stated(now)
    then = _type_of_code(bundle)[end.code][held]
    if (said >= 0).any():
        panel["kappa"] = partial(measures.kappa, said[held] + 1, then + 1)
        if (sure > 0).any():
            panel["ece"] = partial(measures.calibration_gap, sure[held], said[held] == then)
    return panel


def _stated(answers: Encoding) -> tuple[Ints, Floats]:
    """The type that is said of the end of the session, and its probability; -1 and 0 where a fact rules it
    out, which is never right and so no miscalibration."""
    return answers.forecast, np.nan_to_num(answers.forecast_probability.astype(np.float64))


def _type_of_code(bundle: Bundle) -> Ints:
    found = np.full(CODES, -1, dtype=np.int64)
    for index, kind in enumerate(bundle.catalogue.types):
        found[list(kind.codes)] = index
    return found


def _mean_of_stores(measure: Any, score: Floats, came: Bools, store: Ints, weights: Floats) -> Floats:
    """Mean over the stores in which it came to some and not to others."""
    parts = []
    for one in np.unique(store):
        of = store == one
        if 0 < came[of].sum() < of.sum():
            parts.append(measure(score[of], came[of], weights[:, of]))
    return np.asarray(np.nanmean(parts, axis=0))
