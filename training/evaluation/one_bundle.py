"""One bundle on given histories: what it serves, measured as the study measures it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from inference.bundles.bundle import Bundle
from inference.encoders.graph import CODES
from inference.encoders.onnx import OnnxEncoder
from training.encoder.dataset import BuyerVectors
from training.errors import EvaluationError
from training.evaluation.baselines import balanced_space, everyone_looks, lloyd_kmeans, mask_rule
from training.evaluation.coded import Coded
from training.evaluation.landmarks import Landmark, calibration, type_agreement
from training.evaluation.points import LANDMARKS, TEST, TRAIN, VALIDATION, Points
from training.evaluation.run_measures import AXES, Compared, Judged, panel, reference

MEASURES: Final = (
    "purity",
    "macro_recall",
    "js",
    *(f"incoherence_{axis}" for axis in AXES),
    *(f"d_{axis}" for axis in AXES),
    "ch16",
    "perplexity",
)
_LEAST: Final = CODES


def judge_bundle(bundle: Bundle, data: BuyerVectors, *, seed: int, most: int | None) -> dict[str, Any]:
    """Figures with intervals: the bundle's codes, Lloyd k-means on the balanced space, two rules.

    Two thirds of each store's buyers with 3 events or more fix what a code means and train k-means; the
    others are judged. The bundle may have been trained on any of them: figures of buyers that it was not
    trained on need other files. Its confidence is judged after events 3, 5 and 10.

    Raises:
        EvaluationError: too few buyers.
    """
    points = Points.of(data, seed=seed, most=most)
    fixed = np.flatnonzero((points.side == TRAIN) | (points.side == VALIDATION))
    judged_buyers = points.where(TEST)
    if len(fixed) < _LEAST or len(judged_buyers) == 0:
        raise EvaluationError(
            f"{len(points.side)} buyers with 3 events or more are too few to judge {CODES} codes on; "
            f"give events of at least {2 * _LEAST} such buyers"
        )
    judged = Judged.of(points, fixed, judged_buyers)
    coded = encode_rows(bundle, points)
    lloyd = lloyd_kmeans(balanced_space(points.whole(fixed)), points.whole(fixed), seed)
    whole = points.data.vectors[: len(points.side)]
    panels = {
        "bundle": [panel(judged, coded.codes[: len(whole)])],
        "Lloyd": [panel(judged, lloyd.codes(whole))],
        "everyone is D": [reference(judged, everyone_looks(whole[judged_buyers]))],
        "mask rule": [reference(judged, mask_rule(whole[judged_buyers]))],
    }
    compared = Compared.of(panels, judged.bootstrap(seed), MEASURES)
    return {
        "codebook_version": bundle.codebook_version,
        "seed": seed,
        "buyers": {"meaning": len(fixed), "judged": len(judged_buyers)},
        "figures": compared.as_json(),
        "against_lloyd": {name: compared.difference("bundle", "Lloyd", name) for name in MEASURES},
        "types": _types(points, coded) if bundle.types else None,
    }


def encode_rows(bundle: Bundle, points: Points) -> Coded:
    """What the bundle says of every row of the points."""
    answers = OnnxEncoder(bundle).encode(points.data.vectors)
    type_of_code = np.full(CODES, -1, dtype=np.int64)
    for index, kind in enumerate(bundle.catalogue.types):
        type_of_code[list(kind.codes)] = index
    return Coded(
        codes=answers.code,
        type=answers.forecast,
        confidence=answers.forecast_probability.astype(np.float64),
        type_of_code=type_of_code,
        sketched=np.empty(0, dtype=np.int64),
        about={},
    )


def _types(points: Points, coded: Coded) -> dict[str, Any]:
    kappas = {}
    for events in LANDMARKS:
        landmark = Landmark.of(points, events)
        if len(landmark.judged):
            agreed = type_agreement(landmark, coded, coded.type[landmark.judged])
            weights = np.ones((1, len(landmark.judged)))
            kappas[str(events)] = float(agreed["type_kappa"](weights)[0])
    return {"kappa_at_event": kappas, "calibration": calibration(points, [coded], LANDMARKS)}
