"""Folded rows of a study, kept so that a resumed one need not fold again."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from feature_store.workspace import write_whole
from training.encoder.dataset import BuyerVectors
from training.evaluation.points import Points


def save_points(path: Path, points: Points) -> None:
    """Write points as one file; buyers by number, not by name."""
    buffer = io.BytesIO()
    data = points.data
    np.savez(
        buffer,
        vectors=data.vectors,
        buyer=data.buyer,
        whole=data.whole,
        session_end=data.session_end,
        position=data.position,
        time=data.time,
        next_session_end=data.next_session_end,
        stores=np.array(points.stores),
        store=points.store,
        side=points.side,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, buffer.getvalue())


def load_points(path: Path) -> Points:
    """Read what save_points wrote; a buyer is named by its number."""
    with np.load(path) as file:
        stores = tuple(file["stores"].tolist())
        store = file["store"]
        data = BuyerVectors(
            buyers=[(stores[index], str(number)) for number, index in enumerate(store.tolist())],
            vectors=file["vectors"],
            buyer=file["buyer"],
            whole=file["whole"],
            session_end=file["session_end"],
            position=file["position"],
            time=file["time"],
            next_session_end=file["next_session_end"],
        )
        return Points(data, stores, store, file["side"])
