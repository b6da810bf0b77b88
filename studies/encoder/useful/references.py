"""What a shop has without an encoder: rules, tables, clusters, and models on what was counted."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Final

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from feature_store.fold.funnel import STRATA, strata
from feature_store.fold.vector import EMBEDDINGS, MASKS, SCALARS
from inference.encoders.graph import CODES
from studies.encoder.baselines import Grid, levels_space
from studies.encoder.useful.scene import Bools, Floats, Ints, Scene, places_of
from training.encoder.axes import Axes
from training.encoder.dataset import SESSIONS_COLUMN
from training.encoder.outcomes import OUTCOMES
from training.evaluation.baselines import balanced_space, lloyd_kmeans

RULES: Final = ("new or returning", "has carted", "has bought", "RFM")
GRID: Final = "grid of 36"
GRID_KMEANS: Final = "grid x k-means, 256"
LLOYD: Final = "Lloyd + levels, 256"
COUNTS: Final = "counts"
ALL: Final = "all that the encoder sees"

_VERSION_1: Final = MASKS.stop
_LEAST: Final = 5
"""With fewer rows of a kind a model of one shop and place is not fitted, and the pooled one answers."""
_MOST_ROWS: Final = 20_000
_COMPONENTS: Final = 24
_COLUMN: Final = {scalar.name: i for i, scalar in enumerate(SCALARS)}


def groupings(scene: Scene, seed: int) -> dict[str, Ints]:
    """Groups int64 [n] of all rows, fitted on learned ones: four rules of a marketer, a table, two codebooks
    of as many codes as ours. The k-means inside the grid's cells works on the counts, standardised."""
    vectors = scene.data.vectors[:, :_VERSION_1]
    whole = vectors[np.flatnonzero(scene.data.whole & scene.learned)]
    depth = strata(vectors)
    axes = Axes.fit(whole)
    grid = Grid(axes).codes(vectors)
    space = levels_space(balanced_space(whole), axes)
    return {
        RULES[0]: (vectors[:, SESSIONS_COLUMN] > 1).astype(np.int64),
        RULES[1]: (depth <= STRATA.index("C")).astype(np.int64),
        RULES[2]: (depth == STRATA.index("A")).astype(np.int64),
        RULES[3]: _rfm(scene),
        GRID: grid,
        GRID_KMEANS: _inside_cells(scene, grid, seed),
        LLOYD: lloyd_kmeans(space, whole, seed).codes(vectors),
    }


def _rfm(scene: Scene) -> Ints:
    """Recency, frequency and money, three levels each by terciles of learned rows: 27 groups.

    Recency: the time since the session before ended. Frequency: sessions. Money: what was spent.
    """
    now = scene.data.vectors
    start = np.array(scene.data.time, dtype=np.float64)
    away = np.where(scene.before >= 0, start - start[scene.before], np.inf)
    money = now[:, _COLUMN["order_value"]].astype(np.float64)
    group = np.zeros(len(now), dtype=np.int64)
    for values in (-away, now[:, SESSIONS_COLUMN].astype(np.float64), money):
        seen = values[scene.learned & np.isfinite(values)]
        seen = seen[seen > seen.min()] if len(seen) and (seen > seen.min()).any() else np.zeros(1)
        group = 3 * group + np.searchsorted([seen.min(), np.median(seen)], values, side="right")
    return group


def _inside_cells(scene: Scene, cell: Ints, seed: int) -> Ints:
    """k-means inside each cell of the grid; the 256 codes are shared out by the root of the cells' rows."""
    points = StandardScaler().fit(scene.counts()[scene.learned]).transform(scene.counts())
    learned = np.flatnonzero(scene.learned)
    cells, rows = np.unique(cell[learned], return_counts=True)
    share = np.sqrt(rows) / np.sqrt(rows).sum() * (CODES - len(cells))
    count = np.minimum(1 + np.floor(share).astype(int), rows)
    code = np.zeros(len(cell), dtype=np.int64)
    first = 0
    for one, size in zip(cells.tolist(), count.tolist(), strict=True):
        of, mine = np.flatnonzero(cell == one), learned[cell[learned] == one]
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # rows that are alike: fewer centres in use
            kmeans = KMeans(size, n_init=1, random_state=seed).fit(points[mine])
            code[of] = first + kmeans.predict(points[of])
        first += size
    code[~np.isin(cell, cells)] = first
    return code


def features(scene: Scene, which: str) -> Floats:
    """What a model may look at, float64 [n, d], standardised on learned rows: the counts, or beside them all
    else in the vector: masks, the 384 numbers of the product embeddings by their 24 first principal
    components (Halko et al. 2011), and what follows the masks, as log(1 + x)."""
    columns = scene.counts()
    if which == ALL:
        vectors = scene.data.vectors
        drawn = np.random.default_rng(0).permutation(np.flatnonzero(scene.learned))[:_MOST_ROWS]
        with threadpool_limits(1):
            parts = TruncatedSVD(_COMPONENTS, random_state=0).fit(vectors[drawn, EMBEDDINGS])
            products = parts.transform(vectors[:, EMBEDDINGS])
        later = np.log1p(np.maximum(vectors[:, _VERSION_1:].astype(np.float64), 0.0))
        columns = np.hstack([columns, vectors[:, MASKS].astype(np.float64), products, later])
    return np.asarray(StandardScaler().fit(columns[scene.learned]).transform(columns).clip(-6, 6))


def models(scene: Scene, which: str, seed: int) -> Iterator[tuple[str, int, Floats]]:
    """Models of an outcome: (name, outcome, probability float64 [n]).

    Logistic regression per shop and place, and pooled per place; gradient boosting per shop over all places,
    and pooled. Pooled ones know the shop. Where a shop has too few of a kind, the pooled model answers.
    """
    columns = features(scene, which)
    shop = np.eye(len(scene.stores))[scene.store]
    for outcome in range(len(OUTCOMES)):
        pooled = logistic(scene, outcome, np.hstack([columns, shop]))
        yield f"logistic, {which}, pooled", outcome, pooled
        yield f"logistic, {which}, per shop", outcome, logistic(scene, outcome, columns, fallback=pooled)
        every = _boosting(scene, outcome, np.hstack([columns, shop]), seed)
        yield f"boosting, {which}, pooled", outcome, every
        own = _boosting(scene, outcome, columns, seed, fallback=every)
        yield f"boosting, {which}, per shop", outcome, own


def logistic(scene: Scene, outcome: int, columns: Floats, fallback: Floats | None = None) -> Floats:
    """Logistic regression on standardised columns; one a place, and one a shop where there is a fallback."""
    out = np.full(len(columns), 0.5) if fallback is None else fallback.copy()
    place, happened = scene.place(outcome), scene.happened[:, outcome]
    for of in _shops(scene, pooled=fallback is None):
        for where in places_of(outcome):
            at = of & (place == where)
            rows = np.flatnonzero(at & scene.learned_rows(outcome))
            if _enough(happened[rows]):
                with threadpool_limits(1), warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # lbfgs that stops at max_iter is near enough
                    model = LogisticRegression(C=0.1, max_iter=60).fit(columns[rows], happened[rows])
                    out[at] = model.predict_proba(columns[at])[:, 1]
    return out


def _boosting(
    scene: Scene, outcome: int, columns: Floats, seed: int, fallback: Floats | None = None
) -> Floats:
    out = np.full(len(columns), 0.5) if fallback is None else fallback.copy()
    happened, random = scene.happened[:, outcome], np.random.default_rng(seed)
    asked = np.flatnonzero(scene.known[:, outcome] & np.isin(scene.place(outcome), places_of(outcome)))
    for of in _shops(scene, pooled=fallback is None):
        rows = np.flatnonzero(of & scene.learned_rows(outcome))
        rows = np.sort(random.permutation(rows)[:_MOST_ROWS])
        if _enough(happened[rows]):
            with threadpool_limits(1):
                model = HistGradientBoostingClassifier(
                    max_iter=60, learning_rate=0.1, max_leaf_nodes=8, min_samples_leaf=20, random_state=seed
                ).fit(columns[rows], happened[rows])
                mine = asked[of[asked]]
                if len(mine):
                    out[mine] = model.predict_proba(columns[mine])[:, 1]
    return out


def _shops(scene: Scene, *, pooled: bool) -> list[Bools]:
    if pooled:
        return [np.ones(len(scene.store), dtype=np.bool_)]
    return [scene.store == store for store in range(len(scene.stores))]


def _enough(happened: Bools) -> bool:
    return _LEAST <= int(happened.sum()) <= len(happened) - _LEAST
