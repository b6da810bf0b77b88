"""A trained encoder comes out of its file as it went in, and a file's content is never run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.conftest import SMALL
from training.encoder.dataset import BuyerVectors
from training.encoder.train import Trained, train
from training.errors import RetrainError
from training.lifecycle.trained_file import load_trained, save_trained


class Harmful:
    """Whoever unpickles it makes a folder."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.made),)


def assert_same(one: Trained, other: Trained, vectors: np.ndarray[Any, Any]) -> None:
    assert one._replace(model=None, forecasting=None) == other._replace(model=None, forecasting=None)
    weights, others = one.model.state_dict(), other.model.state_dict()
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    assert not other.model.training
    np.testing.assert_array_equal(one.model.codes(vectors), other.model.codes(vectors))


def test_with_types(trained: Trained, buyers: BuyerVectors, tmp_path: Path) -> None:
    save_trained(trained, tmp_path / "trained.pt")
    read = load_trained(tmp_path / "trained.pt")
    assert_same(trained, read, buyers.vectors)
    assert trained.forecasting is not None
    assert read.forecasting is not None
    ours, same = trained.forecasting, read.forecasting
    np.testing.assert_array_equal(ours.groups.type_of_code, same.groups.type_of_code)
    assert ours.groups.type_of_code.dtype == same.groups.type_of_code.dtype
    np.testing.assert_array_equal(ours.groups.lift, same.groups.lift)
    assert ours.groups.types == same.groups.types
    assert (ours.temperature, ours.validation) == (same.temperature, same.validation)


def test_without_types(buyers: BuyerVectors, tmp_path: Path) -> None:
    made = train(buyers, SMALL.model_copy(update={"epochs": 1, "warmup_epochs": 1, "forecast_epochs": 0}))
    save_trained(made, tmp_path / "trained.pt")
    assert_same(made, load_trained(tmp_path / "trained.pt"), buyers.vectors)


def test_a_file_that_would_run_something_is_refused(tmp_path: Path) -> None:
    made = tmp_path / "made"
    plain, saved = tmp_path / "plain.pt", tmp_path / "saved.pt"
    plain.write_bytes(pickle.dumps(Harmful(made)))
    torch.save(Harmful(made), saved)
    for path in (plain, saved):
        with pytest.raises(RetrainError, match=r"begin anew with --restart"):
            load_trained(path)
    assert not made.exists()
    pickle.loads(plain.read_bytes())  # what it would have done
    assert made.exists()


def test_a_file_of_other_content_is_refused(tmp_path: Path) -> None:
    torch.save({"about": b"\x80"}, tmp_path / "trained.pt")
    with pytest.raises(RetrainError, match="no trained encoder of this release"):
        load_trained(tmp_path / "trained.pt")
