"""A training run that was killed goes on where it was, to the same result."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from feature_store.workspace import write_whole
from training.encoder.config import TrainConfig
from training.encoder.dataset import BuyerVectors
from training.errors import DatasetError


def fingerprint(data: BuyerVectors, config: TrainConfig, warm_start: Mapping[str, Tensor] | None) -> str:
    """What a checkpoint belongs to: the settings, the rows and the weights it began with, as SHA-256."""
    digest = hashlib.sha256(config.model_dump_json().encode())
    for column in data[1:]:
        digest.update(np.ascontiguousarray(column).view(np.uint8).data)
    for weights in (warm_start or {}).values():
        digest.update(weights.cpu().numpy().tobytes())
    return digest.hexdigest()


def save(path: Path, of: str, state: dict[str, Any]) -> None:
    """Replace the checkpoint; a reader finds the one before or this one, whole."""
    content = io.BytesIO()
    torch.save(state | {"of": of}, content)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content.getvalue())


def load(path: Path | None, of: str) -> dict[str, Any] | None:
    """The state that was saved there, or None if there is none.

    Raises:
        DatasetError: it is of other data or other settings, or is no checkpoint.
    """
    if path is None or not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's reader and zip each have their own
        raise DatasetError(f"{path} is not a checkpoint of a training run; remove it") from error
    if state.get("of") != of:
        raise DatasetError(f"{path} is of other data or settings; remove it or name another checkpoint")
    return state
