from __future__ import annotations

import numpy as np

from studies.encoder.baselines import gradient_boosting


def test_boosting_does_without_a_label_that_occurs_once() -> None:
    rows = np.random.default_rng(0).normal(size=(300, 3))
    labels = (rows[:, 0] > 0).astype(np.int64)
    labels[7] = 2
    model = gradient_boosting(rows, labels, seed=0)
    assert model.classes_.tolist() == [0, 1]
    assert (model.predict(rows) == labels).mean() > 0.95
