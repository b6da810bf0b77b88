"""Training: repeatable, useful, and clear about data that cannot be learned from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from feature_store.fold.funnel import FACT_CELLS, fact_cells
from feature_store.fold.vector import KINDS
from inference.bundles.facts import Facts
from tests.training.conftest import SMALL, synthetic_buyers, whole_histories
from training.encoder import checkpoint
from training.encoder.dataset import BuyerVectors, split_by_buyer
from training.encoder.facts import cells_of
from training.encoder.model import Losses
from training.encoder.outcomes import OUTCOMES
from training.encoder.quantizers.codebook import LEAST_CODES
from training.encoder.train import Trained, train
from training.errors import DatasetError, DivergedError

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


def test_every_code_keeps_to_its_fact_cell_and_no_cell_goes_without(
    trained: Trained, buyers: BuyerVectors
) -> None:
    cell_of_code = trained.model.quantizer.cell_of_code.numpy()
    assert (cell_of_code[codes(trained, buyers)] == fact_cells(buyers.vectors)).all()
    assert np.bincount(cell_of_code, minlength=FACT_CELLS).min() >= LEAST_CODES


def test_a_code_foresees_what_is_taught(buyers: BuyerVectors) -> None:
    """The kind of the latest event decides whether a purchase comes; nothing else in the rows tells it."""
    told = buyers._replace(vectors=buyers.vectors.copy())
    n = len(buyers.buyers)
    comes = told.vectors[n:, KINDS.start] > 6
    told.vectors[:, [9, 11, 12]] = 0.0
    told.vectors[:n, 12] = comes
    result = train(told, SMALL.model_copy(update={"epochs": 10, "forecast_epochs": 0}))
    _, held_out = split_by_buyer(told, SMALL.validation_share, SMALL.seed)
    held_out = held_out[held_out >= n]
    code = torch.from_numpy(codes(result, told)[held_out])
    with torch.no_grad():
        chance = result.model.foresees(result.model.quantizer.codebook[code])[:, OUTCOMES.index("purchase")]
    assert roc_auc_score(comes[held_out - n], chance) > 0.8


def test_more_training_foresees_unseen_buyers_better(trained: Trained, buyers: BuyerVectors) -> None:
    longer = train(buyers, SMALL.model_copy(update={"epochs": 15, "forecast_epochs": 0}))
    assert longer.validation_losses["rebuilding"] < trained.validation_losses["rebuilding"]


def test_it_stops_early_and_keeps_the_best_epoch(buyers: BuyerVectors) -> None:
    overshooting = SMALL.model_copy(update={"epochs": 40, "patience": 1, "learning_rate": 0.02})
    result = train(buyers, overshooting)
    assert result.epochs == result.best_epoch + 1 < SMALL.warmup_epochs + 40


def test_scaling_sees_training_buyers_alone(trained: Trained, buyers: BuyerVectors) -> None:
    _, held_out = split_by_buyer(buyers, SMALL.validation_share, SMALL.seed)
    other = buyers._replace(vectors=buyers.vectors.copy())
    other.vectors[held_out, :16] *= 3.0
    again = train(other, SMALL.model_copy(update={"epochs": 1, "warmup_epochs": 0, "forecast_epochs": 0}))
    assert torch.equal(trained.model.scaling.mean, again.model.scaling.mean)


class KilledError(Exception):
    pass


def test_a_killed_run_goes_on_to_the_result_it_would_have_had(
    buyers: BuyerVectors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # revive_below is high, so that the draws of revived codes are part of what must go on.
    config = SMALL.model_copy(update={"epochs": 4, "revive_below": 0.5})
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


def test_a_term_without_weight_counts_for_nothing() -> None:
    plain = SMALL.model_copy(update={"outcomes_weight": 0.0, "rebuilding_weight": 0.0})
    assert float(Losses(*torch.ones(4)).total(plain)) == pytest.approx(plain.commitment)
    assert float(Losses(*torch.ones(4)).total(SMALL)) == pytest.approx(2 * 2.0 + 0.3 + SMALL.commitment)


def test_no_forecast_goes_back_on_a_fact(trained: Trained, buyers: BuyerVectors) -> None:
    made, head = trained.forecasting, trained.model.forecast
    assert made is not None
    assert head is not None
    vectors = torch.from_numpy(buyers.vectors)
    with torch.no_grad():
        chances = head(trained.model.latents(vectors), cells_of(vectors)).softmax(dim=1).numpy()
    facts = [kind.facts or Facts() for kind in made.groups.types]
    for cell in range(FACT_CELLS):
        denied = [i for i, claim in enumerate(facts) if not claim.can_follow(cell)]
        assert chances[np.ix_(fact_cells(buyers.vectors) == cell, denied)].max(initial=0.0) == 0.0
    np.testing.assert_allclose(chances.sum(axis=1), 1.0, rtol=1e-5)


def test_the_forecast_learns_what_comes(buyers: BuyerVectors) -> None:
    told = train(buyers, SMALL.model_copy(update={"forecast_epochs": 8})).forecasting
    assert told is not None
    assert told.validation[3]["kappa"] > 0.2
    assert set(told.validation) == {3}


def take(data: BuyerVectors, n: int) -> BuyerVectors:
    return whole_histories(data.buyers[:n], data.vectors[:n])


def test_no_buyer(buyers: BuyerVectors) -> None:
    with pytest.raises(DatasetError, match="no buyer"):
        train(take(buyers, 0), SMALL)


def test_fewer_buyers_than_codes(buyers: BuyerVectors) -> None:
    with pytest.raises(DatasetError, match="200 buyers cannot fill 256 codes"):
        train(take(buyers, 200), SMALL)


def test_constant_features(buyers: BuyerVectors) -> None:
    same = whole_histories(buyers.buyers, np.repeat(buyers.vectors[:1], len(buyers.buyers), axis=0))
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


def test_a_history_without_anything_to_foresee(buyers: BuyerVectors) -> None:
    brief = whole_histories(buyers.buyers, buyers.vectors[: len(buyers.buyers)].copy())
    brief.vectors[:, 0] = 1.0
    result = train(brief, SMALL)
    assert np.isfinite(result.validation_losses["rebuilding"])
    assert result.forecasting is not None
    assert result.forecasting.temperature is None
    assert result.model.forecast is None
