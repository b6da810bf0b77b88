"""An encoder that follows a champion: it begins with its weights, and its codes take the champion's numbers.

What is kept of a trained encoder for that, beside its bundle, are the torch weights (state.pt): a bundle
holds the half that serves, a warm start needs the decoder and the heads as well.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from torch import Tensor

from feature_store.workspace import write_whole
from inference.bundles.bundle import Bundle
from inference.encoders.graph import CODES, open_graph, run_graph
from training.encoder.dataset import BuyerVectors, split_by_buyer
from training.encoder.train import STORE_RATES, Trained
from training.errors import RetrainError
from training.lifecycle.align import Alignment, align_codes, same_share
from training.types.types import TypeGroups

log = structlog.get_logger()

_FORECAST: Final = "forecast."
_ROWS: Final = 8192


class Followed(NamedTuple):
    """A successor under the champion's numbers, how they were matched, and what came of it.

    figures, of held-out buyers: the share with the champion's code before the matching (unaligned) and after
    it (same_code), and with the champion's type (same_type, None where one of both has no types).
    """

    trained: Trained
    alignment: Alignment
    figures: dict[str, float | int | None]


def follow(trained: Trained, champion: Bundle, data: BuyerVectors) -> Followed:
    """Number the codes of a trained encoder after a champion's.

    Matched on whole histories of the buyers that it was trained on, judged on those of the others.
    """
    training, validation = split_by_buyer(data, trained.config.validation_share, trained.config.seed)
    matched, judged = training[data.whole[training]], validation[data.whole[validation]]
    session = open_graph(champion.model, threads=1)
    old = run_graph(session, data.vectors[matched]).code
    new = trained.model.codes(data.vectors[matched])
    alignment = align_codes(old, new, _scaled(trained, data.vectors[matched]), CODES)

    held_old = run_graph(session, data.vectors[judged]).code
    held_new = trained.model.codes(data.vectors[judged])
    renamed = renumbered(trained, alignment.numbers)
    return Followed(
        renamed,
        alignment,
        {
            "buyers": len(judged),
            "unaligned": round(same_share(held_old, held_new), 4),
            "same_code": round(same_share(held_old, alignment.numbers[held_new]), 4),
            "same_type": _same_type(champion, renamed, held_old, alignment.numbers[held_new]),
        },
    )


def _scaled(trained: Trained, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.no_grad():
        parts = [trained.model.scaling(part) for part in torch.split(torch.from_numpy(vectors), _ROWS)]
    scaled: NDArray[np.float32] = torch.cat(parts).numpy()
    return scaled


def _same_type(
    champion: Bundle, trained: Trained, old: NDArray[np.int64], new: NDArray[np.int64]
) -> float | None:
    if not champion.catalogue.types or trained.forecasting is None:
        return None
    theirs = {code: kind.name for kind in champion.catalogue.types for code in kind.codes}
    ours = {code: kind.name for kind in trained.forecasting.groups.types for code in kind.codes}
    same = [theirs.get(a) == ours.get(b) for a, b in zip(old.tolist(), new.tolist(), strict=True)]
    return round(float(np.mean(same)), 4)


def renumbered(trained: Trained, numbers: NDArray[np.int64]) -> Trained:
    """The same encoder with code numbers[k] for code k; the model itself is changed."""
    order = torch.from_numpy(np.argsort(numbers))
    for buffer in trained.model.quantizer.buffers():
        if buffer.shape[:1] == (CODES,):
            buffer.copy_(buffer[order.to(buffer.device)])
    if trained.forecasting is None:
        return trained
    groups = trained.forecasting.groups
    of_code, lift = groups.type_of_code[order.numpy()], groups.lift[order.numpy()]
    types = tuple(
        msgspec.structs.replace(kind, codes=tuple(np.flatnonzero(of_code == index).tolist()))
        for index, kind in enumerate(groups.types)
    )
    return trained._replace(forecasting=trained.forecasting._replace(groups=TypeGroups(of_code, types, lift)))


def save_weights(trained: Trained, path: Path) -> None:
    """Write state.pt: what a successor begins with. The forecast is left out, types are made anew; and the
    stores' rates, another training has other stores."""
    weights = {
        name: value
        for name, value in trained.model.state_dict().items()
        if not name.startswith(_FORECAST) and name != STORE_RATES
    }
    content = io.BytesIO()
    torch.save(weights, content)
    write_whole(path, content.getvalue())


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read state.pt.

    Raises:
        RetrainError: it cannot be read.
    """
    try:
        weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's reader and zip each have their own
        raise RetrainError(f"{path.name} of the champion cannot be read: {error}") from error
    return weights
