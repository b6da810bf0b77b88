"""Inputs of the study: histories from files, generated traffic."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np

from feature_store.fold.funnel import STRATA, strata
from feature_store.sources.choice import NOTHING_SAID, SourceChoice
from feature_store.workspace import write_whole
from ops.traffic import TrafficConfig, generate
from ops.traffic.buyer_types import TYPE_NAMES
from ops.traffic.oracle import posterior, true_types
from studies.encoder.cache import load_points, save_points
from studies.encoder.generated_traffic import Truth
from studies.encoder.part_names import PARTS
from studies.encoder.plan import BRIEF, Plan
from studies.encoder.study import Inputs
from studies.engine import Tell
from studies.inputs import Histories
from training.encoder.dataset import POSITIONS, describe_source, training_rows
from training.evaluation.points import LANDMARKS, Points

_SEED: Final = 20261125
"""Draws the sides. An earlier study had another: its test figures led to changes (docs/adr/0031)."""
_LEAST_IN_FUNNEL: Final = 100
"""A store whose funnel fewer judged buyers entered says nothing of strata when it is held out."""


def study_inputs(
    paths: Sequence[Path],
    work: Path,
    *,
    most: int,
    generated: int,
    tell: Tell,
    source: SourceChoice = NOTHING_SAID,
) -> Inputs:
    """Read, fold and split the files; what was folded is kept in `work` under the files' hashes."""
    histories = Histories(paths, source)
    sources = [describe_source(path, 0).rsplit(", ", 1)[1] for path in paths]
    if source.mapping is not None:
        sources.append(describe_source(Path(source.mapping), 0).rsplit(", ", 1)[1])
    if source.given:
        sources.append(repr(source))
    key = hashlib.sha256(json.dumps([sources, most, POSITIONS, _SEED]).encode()).hexdigest()[:24]
    full, about = (work / f"points-{key}.{name}" for name in ("npz", "json"))
    if not about.exists():
        tell("reading and folding the events")
        save_points(full, Points.of(training_rows(histories.events()), seed=_SEED, most=most))
        write_whole(about, json.dumps(histories.described()).encode())
    return Inputs(
        full=load_points(full),
        generated=generated_inputs(generated, work, tell) if generated else None,
        sources=json.loads(about.read_text()),
        split_seed=_SEED,
    )


def generated_inputs(buyers: int, work: Path, tell: Tell) -> tuple[Points, Truth]:
    """Traffic of `buyers` buyers in four stores over two weeks, their latent types, and what the generator
    would say of them."""
    config = TrafficConfig(buyers=buyers, hours=14 * 24)
    key = hashlib.sha256(json.dumps([asdict(config), _SEED]).encode()).hexdigest()[:24]
    rows, columns_file = work / f"generated-{key}.npz", work / f"generated-{key}.json"
    if not columns_file.exists():
        tell("generating traffic with known types")
        batches = list(generate(config, _SEED))
        data = training_rows(iter(batches))
        points = Points.of(data, seed=_SEED)
        latent = true_types(config, _SEED)
        best = posterior(config, _SEED, batches, LANDMARKS)
        keys = points.data.buyers
        save_points(rows, points)
        columns = {str(events): [known.get(key, -1) for key in keys] for events, known in best.items()}
        columns["latent"] = [latent[key] for key in keys]
        write_whole(columns_file, json.dumps(columns).encode())
    columns = json.loads(columns_file.read_text())
    truth = Truth(
        names=TYPE_NAMES,
        latent=np.array(columns["latent"], dtype=np.int64),
        posterior={events: np.array(columns[str(events)], dtype=np.int64) for events in (*LANDMARKS, 0)},
    )
    return load_points(rows), truth


def stores_to_hold_out(points: Points) -> tuple[str, ...]:
    """Stores in whose funnel enough judged buyers got somewhere, in the order of their names."""
    labels = strata(points.data.vectors[: len(points.side)])
    entered = labels != STRATA.index("D")
    return tuple(
        store
        for index, store in enumerate(points.stores)
        if (entered & (points.store == index)).sum() >= _LEAST_IN_FUNNEL
    )


def command_line(
    paths: Sequence[Path],
    plan: Plan,
    most: int,
    generated: int,
    generated_shops: int,
    generated_buyers: int,
) -> str:
    """How the report names the command that made it: files by name, wherever they lie."""
    options = [f"--seeds {len(plan.seeds)}", f"--few-seeds {len(plan.few_seeds)}"]
    options.append(f"--ablation-seeds {len(plan.ablation_seeds)}")
    options += [f"--held-out {store}" for store in plan.held_out]
    options += [f"--part {part}" for part in plan.parts if plan.parts != PARTS]
    if "useful" in plan.parts:
        options += [f"--generated-shops {generated_shops}", f"--generated-buyers {generated_buyers}"]
    options += [f"--most {most}", f"--generated {generated}"]
    if plan.base["epochs"] != BRIEF["epochs"]:
        options.append(f"--epochs {plan.base['epochs']}")
    return " ".join(["simpersona study", *(path.name for path in paths), *options])
