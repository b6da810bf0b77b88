"""A trained model -> model.onnx, proved to say what torch says."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from feature_store.fold.funnel import fact_cells
from feature_store.fold.vector import (
    EMBEDDINGS,
    FEATURE_VERSION,
    GAPS,
    MASKS,
    N_SCALARS,
    SESSION,
    VECTOR_SIZE,
)
from inference.encoders.encoder import Encoding
from inference.encoders.graph import LAYOUTS, MAX_ROWS, open_graph, run_graph
from training.encoder.facts import cells_of
from training.encoder.model import VQVAE
from training.encoder.quantizers.codebook import square_distances
from training.errors import ExportError

BATCH_SIZES: Final = (1, 2, 7, 64, 256, 1000, 4096)
TIE: Final = 1e-4
"""Codes may differ between runtimes where the second nearest is no farther than this share of the
distance: float32 sums in another order differ by about 1e-6."""
PARITY_ROWS: Final = 100_000
CONFIDENCE_ERROR: Final = 1e-3
"""Types may differ between runtimes only where two are equally likely; then the confidence hardly does."""
_BATCH_SIZE_ROWS: Final = 4096
_NUMBERS: Final = np.r_[0:N_SCALARS, SESSION, GAPS]


class ServingGraph(nn.Module):
    """Raw vectors float32 [n, W] -> the eight outputs of a bundle's model.onnx (inference.encoders.graph).

    Two candidates, of the row's fact cell, come from the expanded square (one matrix product); which of them
    is nearer, and how far, is decided on the plain difference, where nothing cancels. So the code depends
    least on the order in which a runtime sums, and a distance of nearly 0 is right.
    """

    codebook: Tensor
    cell_of_code: Tensor
    type_of_code: Tensor

    def __init__(self, model: VQVAE, type_of_code: NDArray[np.int64] | None) -> None:
        """type_of_code int64 [256], where the model has a forecast."""
        super().__init__()
        self.scaling = model.scaling
        self.encoder = model.encoder
        self.forecast = model.forecast
        self.register_buffer("codebook", model.quantizer.codebook.detach())
        self.register_buffer("cell_of_code", model.quantizer.cell_of_code)
        none = np.full(len(self.codebook), -1, dtype=np.int64)
        self.register_buffer("type_of_code", torch.from_numpy(none if type_of_code is None else type_of_code))

    def forward(self, vector: Tensor) -> tuple[Tensor, ...]:
        """Encode raw vectors."""
        cells = cells_of(vector)
        latent = self.encoder(self.scaling(vector))
        squares = square_distances(latent, cells, self.codebook, self.cell_of_code)
        candidates = squares.topk(2, dim=1, largest=False).indices
        distances = (latent.unsqueeze(1) - self.codebook[candidates]).square().sum(dim=2).sqrt()
        first, second = distances[:, 0], distances[:, 1]
        code = torch.where(second < first, candidates[:, 1], candidates[:, 0])
        distance = torch.minimum(first, second)
        margin = torch.maximum(first, second) - distance
        kind = self.type_of_code[code]
        return code, distance, margin, kind, *self._forecast(latent, cells, kind), latent

    def _forecast(self, latent: Tensor, cells: Tensor, kind: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Confidence in the type of now, the forecast and its probability."""
        if self.forecast is None:
            nothing = torch.full_like(latent[:, 0], float("nan"))
            return nothing, torch.full_like(kind, -1), nothing.clone()
        chances = self.forecast(latent, cells).softmax(dim=1)
        probability, forecast = chances.max(dim=1)
        return chances.gather(1, kind.unsqueeze(1)).squeeze(1), forecast, probability


class Parity(NamedTuple):
    """How torch and ONNX Runtime agreed: rows compared, ties (rows whose codes differ within float
    error: index, both codes, margin), rows whose forecasts differ (both equally likely, so also ties),
    largest differences, and codes that changed with batch size."""

    rows: int
    ties: list[dict[str, Any]]
    type_ties: int
    largest_distance_difference: float
    largest_confidence_difference: float
    batch_sizes: tuple[int, ...]
    codes_that_differ_between_batch_sizes: int


def export_onnx(graph: ServingGraph, path: Path) -> None:
    """Write a serving graph, in eval mode, as one ONNX file with a dynamic batch.

    Raises:
        ExportError: onnx.checker refuses the graph.
    """
    # They name optional packages that no graph of ours needs.
    for name in ("torch.onnx", "torch.utils.flop_counter"):
        logging.getLogger(name).setLevel(logging.ERROR)
    program = torch.onnx.export(
        graph,
        (torch.zeros(4, VECTOR_SIZE),),
        dynamo=True,
        external_data=False,
        input_names=["vector"],
        output_names=list(LAYOUTS[FEATURE_VERSION].outputs),
        dynamic_shapes={"vector": {0: torch.export.Dim("n")}},
        verbose=False,
    )
    if program is None:
        raise ExportError("torch made no ONNX program")
    program.save(str(path))
    proto = onnx.load(str(path))
    _drop_notes(proto)
    onnx.save(proto, str(path))
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except onnx.checker.ValidationError as error:
        raise ExportError(f"the exported graph is not valid ONNX: {error}") from error


def _drop_notes(proto: Any) -> None:
    # Stack traces of the machine that trained: no business of those who serve, and not reproducible.
    for node in proto.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*proto.graph.value_info, *proto.graph.input, *proto.graph.output, *proto.graph.initializer):
        del value.metadata_props[:]
    del proto.graph.metadata_props[:]
    del proto.metadata_props[:]


def check_parity(graph: ServingGraph, path: Path, vectors: NDArray[np.float32], seed: int) -> Parity:
    """Compare torch and ONNX Runtime on training rows, on noise and on extremes.

    Raises:
        ExportError: a code differs beyond float error, a code is of another fact cell, or an output is not
            finite.
    """
    rows = parity_rows(vectors, seed, PARITY_ROWS)
    session = open_graph(path.read_bytes(), threads=1)
    served = run_graph(session, rows)
    if not (np.isfinite(served.distance) & np.isfinite(served.margin)).all():
        raise ExportError("the exported graph gives distances that are not finite")
    strayed = graph.cell_of_code.numpy()[served.code] != fact_cells(rows)
    if strayed.any():
        raise ExportError(f"the exported graph gives {strayed.sum()} rows codes of another fact cell")
    torched = _in_torch(graph, rows)
    differ = np.flatnonzero(torched.code != served.code)
    wrong = int((served.margin[differ] > TIE * served.distance[differ]).sum())
    if wrong:
        raise ExportError(f"torch and ONNX Runtime give other codes for {wrong} of {len(rows)} rows")
    same_type = torched.type == served.type  # a tie of two codes may be one of two types
    differences = [
        np.abs(torched.forecast_probability - served.forecast_probability),
        np.abs(torched.confidence - served.confidence)[same_type],
    ]
    confidence_difference = float(np.concatenate(differences).max()) if graph.forecast else 0.0
    if not confidence_difference <= CONFIDENCE_ERROR:
        raise ExportError(f"torch and ONNX Runtime differ by {confidence_difference} in a probability")
    return Parity(
        rows=len(rows),
        ties=[
            {
                "row": i,
                "torch": int(torched.code[i]),
                "onnx": int(served.code[i]),
                "margin": float(served.margin[i]),
            }
            for i in differ.tolist()
        ],
        type_ties=int((torched.forecast != served.forecast).sum()),
        largest_distance_difference=float(np.abs(torched.distance - served.distance).max()),
        largest_confidence_difference=confidence_difference,
        batch_sizes=BATCH_SIZES,
        codes_that_differ_between_batch_sizes=_changed_by_batch_size(
            session, rows[:_BATCH_SIZE_ROWS], served.code[:_BATCH_SIZE_ROWS]
        ),
    )


def _in_torch(graph: ServingGraph, rows: NDArray[np.float32]) -> Encoding:
    """What the graph says of rows, as torch computes it."""
    with torch.inference_mode():
        parts = [graph(part)[:-1] for part in torch.split(torch.from_numpy(rows), MAX_ROWS)]
    return Encoding(*(torch.cat(columns).numpy() for columns in zip(*parts, strict=True)))


def _changed_by_batch_size(
    session: ort.InferenceSession, rows: NDArray[np.float32], codes: NDArray[np.int64]
) -> int:
    changed = np.zeros(len(rows), dtype=np.bool_)
    for size in BATCH_SIZES:
        parts = [run_graph(session, rows[i : i + size]).code for i in range(0, len(rows), size)]
        changed |= np.concatenate(parts) != codes
    return int(changed.sum())


def parity_rows(vectors: NDArray[np.float32], seed: int, rows: int) -> NDArray[np.float32]:
    """So many rows float32 [rows, W] to compare on, shuffled: extremes, training rows (at most half), and
    the rest training rows with noise on the numbers."""
    random = np.random.default_rng(seed)
    extremes = np.zeros((8, VECTOR_SIZE), dtype=np.float32)
    extremes[1:, _NUMBERS] = np.array([1e9, 1e12, 3e38, -1.0, -3e38, 1e-38, 1.0])[:, None]
    extremes[1:4, EMBEDDINGS] = 1.0
    extremes[1:4, MASKS] = 1.0
    real = vectors[random.permutation(len(vectors))[: rows // 2]]
    noisy = vectors[random.integers(0, len(vectors), rows - len(extremes) - len(real))]
    noisy[:, _NUMBERS] *= random.lognormal(0.0, 0.5, (len(noisy), len(_NUMBERS))).astype(np.float32)
    return random.permutation(np.concatenate([extremes, real, noisy]))
