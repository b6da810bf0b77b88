"""Hold a version against the champion on history, as `simpersona models promote` does."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ops.errors import ModelsError
from ops.history_files import history_batches
from ops.models import Models
from training.encoder.config import TrainConfig
from training.encoder.dataset import training_rows
from training.lifecycle.gate_figures import GateRows, measure
from training.lifecycle.gates import GateSettings, Verdict, judge
from training.lifecycle.versions import Version


def compare(models: Models, candidate: Version, champion: Version, paths: Sequence[Path]) -> list[Verdict]:
    """Measure both versions on the histories in `paths` and judge the candidate.

    Raises:
        ModelsError: there is no history to compare on.
        GateError: it has too few buyers.
    """
    if not all(path.exists() for path in paths):
        raise ModelsError(
            f"gates compare both versions on history, and {', '.join(map(str, paths))} is not there: "
            "run `simpersona archive`, or name files with --data"
        )
    config = TrainConfig()
    data = training_rows(itertools.chain.from_iterable(map(history_batches, paths)), ())
    rows = GateRows.of(data, config.validation_share, config.seed)
    with tempfile.TemporaryDirectory() as folder:
        bundles = [models.registry.lay_down(version, Path(folder)) for version in (champion, candidate)]
        theirs, ours = measure(bundles, rows)
    return judge(theirs, ours, GateSettings())
