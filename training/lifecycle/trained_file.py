"""A trained encoder in a file, from one step of a retrain to a later one.

The file is plain data: tensors, and the rest as msgpack of declared types. Reading it runs nothing that the
file holds, so whoever can write into the data folder gets no further by it.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from feature_store.fold.funnel import FACT_CELLS
from feature_store.workspace import write_whole
from inference.bundles.catalogue import PersonaType
from training.encoder.config import TrainConfig
from training.encoder.model import VQVAE, Forecast
from training.encoder.scaling import Scaling
from training.encoder.train import STORE_RATES, Trained
from training.errors import RetrainError
from training.types.forecast import Forecasting
from training.types.types import TypeGroups


class _Forecasting(msgspec.Struct, frozen=True):
    types: tuple[PersonaType, ...]
    temperature: float | None
    validation: dict[int, dict[str, float]]


class _About(msgspec.Struct, frozen=True):
    """What is known of a trained encoder beside its tensors."""

    config: dict[str, Any]
    epochs: int
    best_epoch: int
    seconds: float
    validation_losses: dict[str, float]
    forecasting: _Forecasting | None


def save_trained(trained: Trained, path: Path) -> None:
    """Write a trained encoder whole."""
    forecasting = trained.forecasting
    about = _About(
        trained.config.model_dump(mode="json"),
        trained.epochs,
        trained.best_epoch,
        trained.seconds,
        trained.validation_losses,
        None if forecasting is None else _about_forecasting(forecasting),
    )
    content = io.BytesIO()
    torch.save(
        {
            "about": msgspec.msgpack.encode(about, enc_hook=_plain),
            "model": trained.model.state_dict(),
            "groups": None if forecasting is None else _tensors(forecasting.groups),
        },
        content,
    )
    write_whole(path, content.getvalue())


def load_trained(path: Path) -> Trained:
    """Read what save_trained wrote.

    Raises:
        RetrainError: the file holds no trained encoder of this release.
    """
    try:
        kept: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        about = msgspec.msgpack.decode(kept["about"], type=_About)
        config = TrainConfig.model_validate(about.config)
        model = VQVAE(Scaling(), len(kept["model"][STORE_RATES]), config)
        if about.forecasting is not None and about.forecasting.temperature is not None:
            model.forecast = Forecast(np.ones((FACT_CELLS, len(about.forecasting.types)), np.bool_))
        model.load_state_dict(kept["model"])
        forecasting = None if about.forecasting is None else _forecasting(about.forecasting, kept)
    except Exception as error:  # torch, zip, msgspec, pydantic and a missing key each have their own
        raise RetrainError(
            f"{path} holds no trained encoder of this release; begin anew with --restart"
        ) from error
    return Trained(
        model.eval(),
        config,
        about.epochs,
        about.best_epoch,
        about.seconds,
        about.validation_losses,
        forecasting,
    )


def _about_forecasting(forecasting: Forecasting) -> _Forecasting:
    return _Forecasting(forecasting.groups.types, forecasting.temperature, forecasting.validation)


def _forecasting(about: _Forecasting, kept: dict[str, Any]) -> Forecasting:
    columns = {name: tensor.numpy() for name, tensor in kept["groups"].items()}
    return Forecasting(TypeGroups(types=about.types, **columns), about.temperature, about.validation)


def _tensors(groups: TypeGroups) -> dict[str, Tensor]:
    return {"type_of_code": torch.from_numpy(groups.type_of_code), "lift": torch.from_numpy(groups.lift)}


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):  # numpy rounds to its own kinds of numbers
        return value.item()
    raise NotImplementedError(f"a trained encoder holds a {type(value).__name__}, which its file cannot")
