"""What a landmark tells of what came: scores of codes and of gradient boosting, against what came.

All scores are fitted on training buyers at the same landmark; targets are relative to the store's own base
rate, since conversion rates do not compare across stores.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from feature_store.fold.funnel import STRATA, strata
from feature_store.fold.vector import SCALARS
from inference.encoders.graph import CODES
from studies.encoder.baselines import gradient_boosting
from training.encoder.axes import FUNNEL_COLUMNS
from training.evaluation import measures as m
from training.evaluation.bootstrap import Bootstrap
from training.evaluation.coded import Coded
from training.evaluation.landmarks import Landmark, type_agreement, types_at_end
from training.evaluation.points import Points, Vectors
from training.evaluation.run_measures import Compared, Panel

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

OUTCOMES: Final = {"cart": "carts", "purchase": "purchases"}
REST: Final = ("purchase", "engagement", "exploration")
_LEAST_POSITIVES: Final = 10
"""A store with fewer later carts (or purchases) among its judged buyers has no AUC."""
_PRIOR: Final = 20.0
_COLUMN: Final = {scalar.name: i for i, scalar in enumerate(SCALARS)}
assert set(FUNNEL_COLUMNS) >= {_COLUMN[column] for column in OUTCOMES.values()}


def store_of(landmark: Landmark, rows: Ints) -> Ints:
    """Store of each row's buyer."""
    return landmark.points.store[landmark.points.data.buyer[rows]]


def outcome(landmark: Landmark, rows: Ints, column: str) -> NDArray[np.bool_]:
    """Whether it came later, bool [m]: nobody had any event of the funnel yet."""
    later = landmark.points.data.vectors[landmark.points.data.buyer[rows], _COLUMN[column]]
    return np.asarray(later > 0)


def rest(landmark: Landmark, rows: Ints, axis: str) -> Floats:
    """The rest of the history on an axis, standardised within store by the training rows."""
    raw = _rest(landmark, rows, axis)
    known = _rest(landmark, landmark.learned, axis)
    out = np.zeros(len(rows))
    for store in np.unique(store_of(landmark, rows)):
        here, there = store_of(landmark, rows) == store, store_of(landmark, landmark.learned) == store
        if there.any() and known[there].std() > 1e-9:
            out[here] = (raw[here] - known[there].mean()) / known[there].std()
    return out


def _rest(landmark: Landmark, rows: Ints, axis: str) -> Floats:
    data = landmark.points.data
    now, then = data.vectors[data.buyer[rows]], data.vectors[rows]
    if axis == "purchase":
        return (len(STRATA) - 1 - strata(now)).astype(np.float64)
    names = {
        "engagement": (("events",), ("active_seconds",)),
        "exploration": (("product_views", "list_views", "searches"), ("distinct_products",)),
    }[axis]
    parts = [_log_gain(now, then, of) for of in names]
    return np.asarray(sum((part - part.mean()) / max(part.std(), 1e-9) for part in parts))


def centred(landmark: Landmark, target: Floats) -> Floats:
    """Targets of the learned rows less their store's mean, float64 [learned]."""
    out = target.astype(np.float64)
    store = store_of(landmark, landmark.learned)
    for one in np.unique(store):
        out[store == one] -= out[store == one].mean()
    return out


def _log_gain(now: Vectors, then: Vectors, names: tuple[str, ...]) -> Floats:
    columns = [_COLUMN[name] for name in names]
    gain = now[:, columns].sum(axis=1) - then[:, columns].sum(axis=1)
    return np.asarray(np.log1p(np.maximum(gain, 0.0)), dtype=np.float64)


def code_scores(landmark: Landmark, coded: Coded, target: Floats) -> tuple[Floats, Floats]:
    """What a code (and, where there is one, the type forecast with it) says of a target: scores of the
    learned and of the judged rows.

    The mean of the learned rows with the code, drawn to the mean of those with the same forecast type as if
    20 rows more had that mean; that mean is drawn to 0 (the store's own) in the same way.
    """
    above_store = centred(landmark, target)
    codes, kind = coded.codes, np.maximum(coded.type, 0)
    sums = np.bincount(kind[landmark.learned], above_store, minlength=CODES)
    by_type = sums / (np.bincount(kind[landmark.learned], minlength=CODES) + _PRIOR)
    pair = codes * CODES + kind
    used, place = np.unique(pair[landmark.learned], return_inverse=True)
    total = np.bincount(place, above_store) + _PRIOR * by_type[used % CODES]
    known = dict(zip(used.tolist(), (total / (np.bincount(place) + _PRIOR)).tolist(), strict=True))

    def scores(rows: Ints) -> Floats:
        fallback = by_type[kind[rows]]
        return np.array(
            [known.get(p, f) for p, f in zip(pair[rows].tolist(), fallback.tolist(), strict=True)]
        )

    return scores(landmark.learned), scores(landmark.judged)


def boosted_scores(landmark: Landmark, target: Floats, seed: int) -> tuple[Floats, Floats]:
    """What gradient boosting on the same raw vectors says of a target."""
    vectors = landmark.points.data.vectors
    with threadpool_limits(1):
        model = HistGradientBoostingRegressor(
            max_iter=80, learning_rate=0.05, max_leaf_nodes=8, min_samples_leaf=30, random_state=seed
        ).fit(vectors[landmark.learned], centred(landmark, target))
        return model.predict(vectors[landmark.learned]), model.predict(vectors[landmark.judged])


def landmark_panel(landmark: Landmark, scores: dict[str, tuple[Floats, Floats]]) -> Panel:
    """By scores of each target: AUC of later outcomes (mean of the stores that have enough of them) and
    Cohen's d of the rest."""
    measured: Panel = {}
    for name, column in OUTCOMES.items():
        happened = outcome(landmark, landmark.judged, column)
        if stores := _stores_with(landmark, happened):
            measured[f"auc_{name}"] = partial(_mean_auc, scores[name][1], happened, stores)
    for axis in REST:
        learned, judged = scores[f"rest_{axis}"]
        group = m.thirds(judged, learned)
        values = rest(landmark, landmark.judged, axis)
        measured[f"d_rest_{axis}"] = partial(m.cohens_d, group, values)
    return measured


def _mean_auc(scores: Floats, happened: NDArray[np.bool_], stores: list[Ints], weights: Floats) -> Floats:
    return np.asarray(np.mean([m.auc(scores[of], happened[of], weights[:, of]) for of in stores], axis=0))


def _stores_with(landmark: Landmark, happened: NDArray[np.bool_]) -> list[Ints]:
    store = store_of(landmark, landmark.judged)
    rows = [np.flatnonzero(store == one) for one in np.unique(store)]
    return [of for of in rows if _LEAST_POSITIVES <= happened[of].sum() < len(of)]


def targets(landmark: Landmark) -> dict[str, Floats]:
    """Targets of the learned rows by name."""
    found = {
        name: outcome(landmark, landmark.learned, column).astype(np.float64)
        for name, column in OUTCOMES.items()
    }
    return found | {f"rest_{axis}": rest(landmark, landmark.learned, axis) for axis in REST}


def judge_landmark(points: Points, events: int, runs: dict[str, list[Coded]], seed: int) -> dict[str, Any]:
    """Contenders (with their runs, one per seed) and gradient boosting at one landmark."""
    landmark = Landmark.of(points, events)
    wanted = targets(landmark)
    panels: dict[str, list[Panel]] = {
        who: [
            landmark_panel(landmark, {name: code_scores(landmark, one, t) for name, t in wanted.items()})
            for one in coded
        ]
        for who, coded in runs.items()
    }
    boosted = {name: boosted_scores(landmark, target, seed) for name, target in wanted.items()}
    panels["gradient boosting"] = [landmark_panel(landmark, boosted)]
    for one, measured in zip(runs["model"], panels["model"], strict=True):
        measured.update(type_agreement(landmark, one, one.type[landmark.judged]))
    panels["nearest code's type"] = [
        type_agreement(landmark, one, one.type_of_code[one.codes[landmark.judged]]) for one in runs["model"]
    ]
    panels["boosted type"] = [_boosted_type(landmark, one, seed) for one in runs["model"][:1]]
    names = [f"auc_{name}" for name in OUTCOMES] + [f"d_rest_{axis}" for axis in REST] + ["type_kappa"]
    bootstrap = Bootstrap(len(landmark.judged), seed, strata=store_of(landmark, landmark.judged))
    compared = Compared.of(panels, bootstrap, names)
    return {
        "events": events,
        "rows": {"learned": len(landmark.learned), "judged": len(landmark.judged)},
        "figures": compared.as_json(),
        "against boosting": {
            name: compared.difference("model", "gradient boosting", name)
            for name in names[:-1]
            if name in compared.values["model"]
        },
    }


def _boosted_type(landmark: Landmark, coded: Coded, seed: int) -> Panel:
    vectors = landmark.points.data.vectors
    labels = types_at_end(landmark.points, coded, landmark.learned)
    model = gradient_boosting(vectors[landmark.learned].astype(np.float64), labels, seed)
    predicted = np.asarray(model.predict(vectors[landmark.judged].astype(np.float64)), dtype=np.int64)
    return type_agreement(landmark, coded, predicted)
