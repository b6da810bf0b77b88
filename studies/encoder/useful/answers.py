"""What an encoder answers for every row of a scene: trained for it, exported, and run as it is served."""

from __future__ import annotations

import io
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from inference.encoders.graph import CODES, MAX_ROWS, open_graph, run_graph
from studies.encoder.useful.scene import Bools, Floats, Ints
from training.encoder.config import TrainConfig
from training.encoder.dataset import BuyerVectors
from training.encoder.train import train
from training.evaluation.points import select
from training.publishing.export import ServingGraph, export_onnx


class Answers(NamedTuple):
    """code int64 [n]; latent float32 [n, 96], before it is quantised; type_of_code int64 [256], names of the
    types; forecast int64 [n], the type that is foreseen for the end of the session (-1: none), and sure
    float64 [n], its probability (NaN: none); seconds that the training took."""

    code: Ints
    latent: Floats
    type_of_code: Ints
    names: tuple[str, ...]
    forecast: Ints
    sure: Floats
    seconds: float

    @property
    def type(self) -> Ints:
        """The type that holds now, int64 [n]."""
        return self.type_of_code[self.code]


def buyers_with(data: BuyerVectors, rows: Bools) -> BuyerVectors:
    """All rows of the buyers who have any of the rows (bool [n])."""
    return select(data, np.unique(data.buyer[rows]))


def trained_answers(training: BuyerVectors, data: BuyerVectors, config: dict[str, Any], seed: int) -> Answers:
    """Train on `training`, and ask the exported graph for all rows of `data`."""
    started = time.perf_counter()
    trained = train(training, TrainConfig(seed=seed, **config))
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.onnx"
        groups = trained.forecasting.groups if trained.forecasting is not None else None
        export_onnx(ServingGraph(trained.model, groups and groups.type_of_code).eval(), model)
        seconds = time.perf_counter() - started
        session = open_graph(model.read_bytes(), threads=1)
        served = run_graph(session, data.vectors)
        width = session.get_inputs()[0].shape[1]
        parts = np.array_split(data.vectors, len(data.vectors) // MAX_ROWS + 1)
        latent = np.concatenate([session.run(["latent"], {"vector": part[:, :width]})[0] for part in parts])
    return Answers(
        served.code,
        latent,
        groups.type_of_code if groups else np.full(CODES, -1, dtype=np.int64),
        tuple(kind.name for kind in groups.types) if groups else (),
        served.forecast,
        served.forecast_probability.astype(np.float64),
        seconds,
    )


def packed(made: Answers) -> bytes:
    """As one compressed file."""
    buffer = io.BytesIO()
    columns = made._asdict() | {
        "latent": made.latent.astype(np.float16),
        "names": np.array(made.names, dtype=str),
    }
    np.savez_compressed(buffer, **columns)
    return buffer.getvalue()


def unpacked(content: bytes) -> Answers:
    """What `packed` wrote."""
    with np.load(io.BytesIO(content)) as file:
        columns = {name: file[name] for name in Answers._fields}
    columns |= {"names": tuple(columns["names"].tolist()), "seconds": float(columns["seconds"])}
    return Answers(**columns)
