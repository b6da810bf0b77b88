"""The step of a retrain that trains: from the champion's weights where they fit, else from nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from inference.bundles.bundle import Bundle
from tests.inference.made_bundles import make_bundle
from tests.training.conftest import SMALL
from tests.training.encoder.test_train import KilledError
from training.encoder import checkpoint
from training.encoder.dataset import BuyerVectors
from training.encoder.train import STORE_RATES, Trained
from training.lifecycle.steps import train_step
from training.lifecycle.trained_file import load_trained

CONFIG = SMALL.model_copy(update={"seed": 3, "epochs": 2, "warmup_epochs": 1, "forecast_epochs": 0})


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "champion")


def weights_of(trained: Trained) -> dict[str, torch.Tensor]:
    state = trained.model.state_dict()
    return {
        name: value
        for name, value in state.items()
        if not name.startswith("forecast.") and name != STORE_RATES
    }


def test_it_begins_with_weights_that_fit(
    trained: Trained, buyers: BuyerVectors, champion: Bundle, tmp_path: Path
) -> None:
    assert train_step(tmp_path, buyers, CONFIG, champion, weights_of(trained))["warm_start"] is True


def test_weights_of_other_layers_give_a_cold_start_that_can_be_killed(
    trained: Trained,
    buyers: BuyerVectors,
    champion: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    older = {name: value for name, value in weights_of(trained).items() if not name.startswith("decoder.")}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    assert train_step(whole, buyers, CONFIG, champion, older)["warm_start"] is False
    saved = checkpoint.save

    def save_and_die(path: Path, of: str, state: dict[str, object]) -> None:
        saved(path, of, state)
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", save_and_die)
        with pytest.raises(KilledError):
            train_step(killed, buyers, CONFIG, champion, older)
    assert train_step(killed, buyers, CONFIG, champion, older)["warm_start"] is False
    books = [
        load_trained(next(folder.glob("trained.pt"))).model.quantizer.codebook for folder in (whole, killed)
    ]
    assert torch.equal(*books)
