"""Contenders: what each says of an outcome, as a probability for every row of a scene."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from sklearn.preprocessing import StandardScaler

from studies.encoder.useful.answers import Answers
from studies.encoder.useful.references import COUNTS, features, groupings, logistic, models
from studies.encoder.useful.scene import Floats, Ints, Scene
from training.encoder.outcomes import OUTCOMES
from training.evaluation.foresight import base_rates, group_rates

TYPE: Final = "type"
CODE: Final = "code"
FORECAST: Final = "type forecast"
WITH_COUNTS: Final = "counts + code, logistic per shop"
LATENT: Final = "latent before quantising, logistic per shop"
OURS: Final = (TYPE, CODE, FORECAST, WITH_COUNTS, LATENT)
_BANDS: Final = 5  # of a forecast's probability
_FOLDS: Final = 3
_PLACES: Final = 64  # more than any place


def group_scores(scene: Scene, group: Ints) -> Callable[[int], Floats]:
    """Rates of groups int64 [n], fitted on the learned rows of all shops and drawn to each shop's own."""

    def score(outcome: int) -> Floats:
        base = _base(scene, outcome)
        learned = scene.learned_rows(outcome)
        return group_rates(group, scene.store, base, scene.happened[:, outcome], learned)

    return score


def _base(scene: Scene, outcome: int) -> Floats:
    place = np.clip(scene.place(outcome), 0, _PLACES - 1)
    return base_rates(scene.store * _PLACES + place, scene.happened[:, outcome], scene.learned_rows(outcome))


def reference_scores(scene: Scene, seed: int, *, models_of: tuple[str, ...]) -> dict[str, Floats]:
    """Of every reference the probabilities float32 [8, n]."""
    found = {
        name: np.stack([group_scores(scene, group)(outcome) for outcome in range(len(OUTCOMES))])
        for name, group in groupings(scene, seed).items()
    }
    for which in models_of:
        for name, outcome, stated in models(scene, which, seed):
            found.setdefault(name, np.zeros((len(OUTCOMES), len(stated))))[outcome] = stated
    return found


def packed_scores(scores: dict[str, Floats]) -> bytes:
    """As one compressed file."""
    buffer = io.BytesIO()
    columns: dict[str, Any] = {name: stated.astype(np.float32) for name, stated in scores.items()}
    np.savez_compressed(buffer, **columns)
    return buffer.getvalue()


def unpacked_scores(content: bytes) -> dict[str, Floats]:
    """What packed_scores wrote."""
    with np.load(io.BytesIO(content)) as file:
        return {name: file[name].astype(np.float64) for name in file.files}


def our_scores(scene: Scene, ours: Answers) -> dict[str, Callable[[int], Floats]]:
    """What types, codes and latents say, and what a code adds to counts."""
    found = {CODE: group_scores(scene, ours.code)}
    if ours.names:
        found[TYPE] = group_scores(scene, ours.type)
    if (ours.forecast >= 0).any():
        band = np.clip(np.nan_to_num(ours.sure) * _BANDS, 0, _BANDS - 1).astype(np.int64)
        found[FORECAST] = group_scores(scene, (ours.forecast + 1) * _BANDS + band)
    counts = features(scene, COUNTS)
    found[WITH_COUNTS] = lambda outcome: _with_code(scene, ours.code, counts, outcome)
    latent = StandardScaler().fit(ours.latent[scene.learned]).transform(ours.latent)
    found[LATENT] = lambda outcome: _per_shop(scene, outcome, np.asarray(latent, dtype=np.float64))
    return found


def _with_code(scene: Scene, code: Ints, counts: Floats, outcome: int) -> Floats:
    """Logistic regression on the counts and the log odds of the code's rate.

    Learned rows take their rate from other folds of the buyers, or the regression would trust it too much.
    """
    fold = np.random.default_rng(0).integers(0, _FOLDS, len(scene.data.buyers))[scene.data.buyer]
    stated = group_scores(scene, code)(outcome)
    for one in range(_FOLDS):
        mine = scene.learned & (fold == one)
        others = scene._replace(learned=scene.learned & (fold != one))
        stated[mine] = group_scores(others, code)(outcome)[mine]
    odds = np.log(stated / (1 - stated))
    return _per_shop(scene, outcome, np.column_stack([counts, (odds - odds.mean()) / max(odds.std(), 1e-9)]))


def _per_shop(scene: Scene, outcome: int, columns: Floats) -> Floats:
    shop = np.eye(len(scene.stores))[scene.store]
    pooled = logistic(scene, outcome, np.hstack([columns, shop]))
    return logistic(scene, outcome, columns, fallback=pooled)
