"""Shops that a bundle has never seen get no forecast, and somebody is told."""

from __future__ import annotations

import numpy as np

from inference.calibration.stated import stated
from inference.calibration.unseen import unseen, what_it_costs
from inference.encoders.encoder import Encoding


def encoding(n: int) -> Encoding:
    code, chance = np.arange(n), np.full(n, 0.7, np.float32)
    return Encoding(code, chance, chance, code, chance, code, chance)


def test_only_a_seen_store_gets_a_forecast_and_a_confidence() -> None:
    found = stated(encoding(3), ["acme", "beta", "acme"], {"acme"})
    assert found.forecast.tolist() == [0, -1, 2]
    assert np.isnan(found.forecast_probability).tolist() == [False, True, False]
    assert np.isnan(found.confidence).tolist() == [False, True, False]
    assert (found.code.tolist(), found.type.tolist()) == ([0, 1, 2], [0, 1, 2])
    assert {column.dtype for column in found} == {column.dtype for column in encoding(3)}


def test_a_bundle_without_stores_has_seen_none() -> None:
    assert (stated(encoding(2), ["acme", "beta"], frozenset()).forecast == -1).all()
    assert len(stated(encoding(0), [], {"acme"}).code) == 0


def test_unseen_stores_are_named_with_what_it_costs() -> None:
    assert unseen(["b", "a", "b", "c"], {"c"}) == ["a", "b"]
    assert what_it_costs([]) == ""
    note = what_it_costs(["a", "b"])
    assert "a, b" in note
    assert "simpersona retrain" in note
