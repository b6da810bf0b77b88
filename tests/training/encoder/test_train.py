"""Training: repeatable, useful, and clear about data that cannot be learned from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from inference.encoders.graph import CODES
from tests.training.conftest import SMALL, synthetic_buyers
from training.encoder import checkpoint
from training.encoder.axes import Axes
from training.encoder.dataset import BuyerVectors, split_by_buyer
from training.encoder.model import Losses
from training.encoder.train import Trained, train
from training.errors import DatasetError, DivergedError
from training.publishing.report import code_shares, perplexity

pytestmark = pytest.mark.numeric


def codes(trained: Trained, data: BuyerVectors) -> np.ndarray:
    return trained.model.codes(data.vectors)


def test_the_same_seed_gives_the_same_codes(trained: Trained, buyers: BuyerVectors) -> None:
    again, other = train(buyers, SMALL), train(buyers, SMALL.model_copy(update={"seed": 1}))
    assert np.array_equal(codes(again, buyers), codes(trained, buyers))
    assert torch.equal(again.model.quantizer.codebook, trained.model.quantizer.codebook)
    assert not np.array_equal(codes(other, buyers), codes(trained, buyers))


def test_one_thread_trains_and_the_others_come_back(buyers: BuyerVectors) -> None:
    seen: list[int] = []

    class Watching(BuyerVectors):
        def __getattribute__(self, name: str) -> object:
            if name == "vectors":
                seen.append(torch.get_num_threads())
            return super().__getattribute__(name)

    torch.set_num_threads(2)
    try:
        train(Watching(*buyers), SMALL.model_copy(update={"epochs": 1, "forecast_epochs": 0}))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert set(seen) == {1}


def test_the_warm_up_keeps_the_codebook_from_collapsing(buyers: BuyerVectors) -> None:
    def used(**settings: int) -> float:
        result = train(buyers, SMALL.model_copy(update=settings))
        return perplexity(code_shares(codes(result, buyers), CODES))

    assert used(warmup_epochs=10, epochs=10) > 100
    assert used(warmup_epochs=0, epochs=20) < 50


def test_more_training_rebuilds_unseen_buyers_better(trained: Trained, buyers: BuyerVectors) -> None:
    longer = train(buyers, SMALL.model_copy(update={"epochs": 15}))
    assert longer.validation_losses["scalars"] < trained.validation_losses["scalars"]


def test_it_stops_early_and_keeps_the_best_epoch(buyers: BuyerVectors) -> None:
    overshooting = SMALL.model_copy(update={"epochs": 40, "patience": 1, "learning_rate": 0.02})
    result = train(buyers, overshooting)
    assert result.epochs == result.best_epoch + 1 < SMALL.warmup_epochs + 40


def test_scaling_and_levels_see_training_buyers_alone(trained: Trained, buyers: BuyerVectors) -> None:
    rows, held_out = split_by_buyer(buyers, SMALL.validation_share, SMALL.seed)
    other = buyers._replace(vectors=buyers.vectors.copy())
    other.vectors[held_out, :16] *= 3.0
    again = train(other, SMALL.model_copy(update={"epochs": 1, "warmup_epochs": 0}))
    assert torch.equal(trained.model.scaling.mean, again.model.scaling.mean)
    assert np.array_equal(trained.axes.exploration_cuts, again.axes.exploration_cuts)
    assert np.array_equal(trained.axes.exploration_cuts, Axes.fit(buyers.vectors[rows]).exploration_cuts)


class KilledError(Exception):
    pass


@pytest.mark.parametrize("quantizer", ["ema", "simvq"])
def test_a_killed_run_goes_on_to_the_result_it_would_have_had(
    buyers: BuyerVectors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quantizer: str
) -> None:
    # revive_below is high, so that the draws of revived codes are part of what must go on.
    config = SMALL.model_copy(update={"quantizer": quantizer, "epochs": 4, "revive_below": 0.5})
    expected = train(buyers, config)
    saved = checkpoint.save

    def save_and_die(path: Path, of: str, state: dict[str, object]) -> None:
        saved(path, of, state)
        if state["epoch"] == 4:
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", save_and_die)
        with pytest.raises(KilledError):
            train(buyers, config, tmp_path / "run.pt")
    assert (tmp_path / "run.pt").exists()
    resumed = train(buyers, config, tmp_path / "run.pt")
    assert torch.equal(resumed.model.quantizer.codebook, expected.model.quantizer.codebook)
    assert np.array_equal(codes(resumed, buyers), codes(expected, buyers))
    assert resumed.validation_losses == expected.validation_losses
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_of_another_run_is_refused(
    buyers: BuyerVectors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.pt"
    checkpoint.save(path, "another", {})
    with pytest.raises(DatasetError, match="of other data or settings"):
        train(buyers, SMALL, path)
    path.write_bytes(b"torn")
    with pytest.raises(DatasetError, match="not a checkpoint"):
        train(buyers, SMALL, path)


def test_a_term_without_weight_changes_nothing(trained: Trained, buyers: BuyerVectors) -> None:
    terms = ("engagement", "exploration", "purchase", "contrastive")
    plain = SMALL.model_copy(update={f"{term}_weight": 0.0 for term in terms} | {"forecast_epochs": 0})
    result = train(buyers, plain)
    assert result.forecasting is None
    assert result.validation_losses["engagement"] > trained.validation_losses["engagement"]
    assert float(Losses(*torch.ones(8)).total(plain)) == pytest.approx(3 + plain.commitment)


def test_the_forecast_is_of_the_types_at_the_end_of_the_session(buyers: BuyerVectors) -> None:
    trained = train(buyers, SMALL.model_copy(update={"forecast_epochs": 8}))
    made = trained.forecasting
    assert made is not None
    kinds = len(made.groups.types)
    assert trained.model.forecast is not None
    with torch.no_grad():
        odds = trained.model.forecast(trained.model.scaling(torch.from_numpy(buyers.vectors)))
    probability = odds.softmax(dim=1).numpy()
    assert probability.shape == (len(buyers.buyers), kinds)
    # Every row of these buyers is the end of its session: the forecast can read the type off the vector.
    right = probability.argmax(axis=1) == made.groups.type_of_code[codes(trained, buyers)]
    assert right.mean() > 2 / kinds


def take(data: BuyerVectors, n: int) -> BuyerVectors:
    return BuyerVectors(data.buyers[:n], *(column[:n] for column in data[1:]))


def test_no_buyer(buyers: BuyerVectors) -> None:
    with pytest.raises(DatasetError, match="no buyer"):
        train(take(buyers, 0), SMALL)


def test_fewer_buyers_than_codes(buyers: BuyerVectors) -> None:
    with pytest.raises(DatasetError, match="200 buyers cannot fill 256 codes"):
        train(take(buyers, 200), SMALL)


def test_constant_features(buyers: BuyerVectors) -> None:
    same = buyers._replace(vectors=np.repeat(buyers.vectors[:1], len(buyers.vectors), axis=0))
    with pytest.raises(DatasetError, match="only 1 different"):
        train(same, SMALL)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows_that_are_not_finite(bad: float) -> None:
    data = synthetic_buyers(300)
    data.vectors[17, 3] = bad
    with pytest.raises(DatasetError, match=r"1 training rows hold NaN or inf, first rows \[17\]"):
        train(data, SMALL)


def test_a_diverging_loss(buyers: BuyerVectors) -> None:
    with pytest.raises(DivergedError, match="lower the learning rate"):
        train(buyers, SMALL.model_copy(update={"learning_rate": 1e12}))


def test_one_store_is_enough(buyers: BuyerVectors) -> None:
    assert {store for store, _ in buyers.buyers} == {"s"}  # is no obstacle: see the tests above


def test_buyers_that_did_nothing_but_once(buyers: BuyerVectors) -> None:
    brief = buyers._replace(vectors=buyers.vectors.copy())
    brief.vectors[:, 0] = 1.0
    assert np.isfinite(train(brief, SMALL).validation_losses["scalars"])
