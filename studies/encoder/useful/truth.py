"""Whether what types claim is true, and whether a stated probability is one."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from feature_store.fold.funnel import STRATA, strata
from studies.encoder.useful.answers import Answers
from studies.encoder.useful.scene import Bools, Floats, Ints, Scene
from training.encoder.dataset import SESSIONS_COLUMN
from training.evaluation import measures as m

DEPTHS: Final = {"looker": "D", "bouncer": "D", "carter": "C", "checkout-leaver": "B", "buyer": "A"}
"""What the last word of a type's name claims of how deep its buyers got."""
VISITS: Final = {"new": False, "one-visit": False, "returning": True}
"""What the first word claims: whether they came more than once."""
LEAST_ROWS: Final = 300


def claims(names: tuple[str, ...]) -> tuple[Ints, Ints]:
    """By type, int64 [types]: the stratum that its name claims and whether it claims more than one visit;
    -1 where it claims nothing."""
    depth = [
        next((STRATA.index(s) for word, s in DEPTHS.items() if name.endswith(word)), -1) for name in names
    ]
    visits = [
        next((int(v) for word, v in VISITS.items() if name.startswith(f"{word}-")), -1) for name in names
    ]
    return np.array(depth, dtype=np.int64), np.array(visits, dtype=np.int64)


def judge_claims(scene: Scene, ours: Answers) -> dict[str, Any]:
    """Per shop, over all judged states: precision and recall of "has bought", "has carted or more" and
    "returning"; of those who bought, the share with a type that denies it."""
    depth_of, visits_of = claims(ours.names)
    depth, visits = depth_of[ours.type], visits_of[ours.type]
    actual = strata(scene.data.vectors)
    returning = scene.data.vectors[:, SESSIONS_COLUMN] > 1
    out: dict[str, Any] = {}
    for index, store in enumerate(scene.stores):
        rows = np.flatnonzero(scene.judged & (scene.store == index))
        facts = {
            "has bought": (depth[rows] == 0, actual[rows] == 0, np.ones(len(rows), dtype=np.bool_)),
            "has carted": (
                (depth[rows] >= 0) & (depth[rows] <= STRATA.index("C")),
                actual[rows] <= STRATA.index("C"),
                np.ones(len(rows), dtype=np.bool_),
            ),
            "returning": (visits[rows] == 1, returning[rows], visits[rows] >= 0),
        }
        out[store] = {name: _precision(*columns) for name, columns in facts.items()}
        bought = actual[rows] == 0
        denied = (depth[rows] > 0) & bought
        out[store]["denied"] = float(denied.sum() / bought.sum()) if bought.any() else None
        out[store]["rows"] = len(rows)
    return out


def _precision(claimed: Bools, actual: Bools, asked: Bools) -> dict[str, Any]:
    """Over the rows of which the type claims something (asked)."""
    claimed, actual = claimed[asked], actual[asked]
    both = int((claimed & actual).sum())
    return {
        "claimed": int(claimed.sum()),
        "precision": both / claimed.sum() if claimed.any() else None,
        "recall": both / actual.sum() if actual.any() else None,
    }


def judge_probabilities(scene: Scene, ours: Answers) -> dict[str, Any]:
    """Of the type that is foreseen for the end of the session, at events 1 to 10, per shop and pooled: how
    often it is right, the mean of its stated probability, Brier and the excess of the calibration error; and
    kappa at event 3, beside that of the type of the moment."""
    end = ours.type[scene.data.session_end]
    asked = scene.judged & np.isin(scene.data.position, (1, 3, 5, 10)) & np.isfinite(ours.sure)
    out: dict[str, Any] = {}
    shops = {store: scene.store == index for index, store in enumerate(scene.stores)}
    for name, of in {**shops, "all": np.ones(len(end), dtype=np.bool_)}.items():
        rows = np.flatnonzero(asked & of)
        if len(rows) < LEAST_ROWS:
            continue
        right = ours.forecast[rows] == end[rows]
        sure: Floats = ours.sure[rows]
        at_3 = rows[scene.data.position[rows] == 3]
        out[name] = {
            "rows": len(rows),
            "right": float(right.mean()),
            "stated": float(sure.mean()),
            "brier": float(((sure - right) ** 2).mean()),
            "ece": m.calibration_error(sure, right),
            "excess": m.calibration_excess(sure, right, seed=0),
            "kappa @3": _kappa(ours.forecast[at_3], end[at_3]),
            "kappa @3 of the type of the moment": _kappa(ours.type[at_3], end[at_3]),
        }
    return out


def _kappa(said: Ints, was: Ints) -> float | None:
    return float(m.kappa(said + 1, was + 1, m.once(len(said)))[0]) if len(said) else None
