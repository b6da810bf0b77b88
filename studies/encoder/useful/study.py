"""The part `useful` of the study: scenes, trainings, figures. Long, and resumable task by task."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from feature_store.contract.events import Event
from ops.traffic import TrafficConfig, generate
from studies.encoder.useful.answers import (
    Answers,
    buyers_with,
    packed,
    trained_answers,
    unpacked,
)
from studies.encoder.useful.contenders import packed_scores, reference_scores, unpacked_scores
from studies.encoder.useful.judge import BARS, UNSEEN_BARS, Figures, Judgement
from studies.encoder.useful.references import ALL, COUNTS
from studies.encoder.useful.scene import Bools, Floats, Scene
from studies.encoder.useful.truth import judge_claims, judge_probabilities
from studies.engine import Job, Tell, kept, require_stores, result_path, work_through
from studies.inputs import Histories
from studies.sealed_test import Choice
from training.encoder.dataset import BuyerVectors, training_rows

_FORMAT: Final = 1
"""Part of every key: what a result file holds, and how it is made."""
_DAYS: Final = 7
"""A shop with a shorter history is not split by time."""
_CUT: Final = 0.6
_TRAFFIC_SEED: Final = 57
RULE: Final = (
    "nothing is chosen here: the encoder is trained with TrainConfig's defaults and the plan's size of a "
    "training; the constants of rates and models were fixed before (docs/adr/0057)"
)


class UsefulPlan(NamedTuple):
    """seeds of ours; held_out: shops that are judged unseen; config: what differs from TrainConfig;
    generated_shops, each of generated_buyers, of the kinds that are fitted to real ones; by_time: the split
    by time as well."""

    seeds: Sequence[int]
    held_out: Sequence[str]
    config: Mapping[str, Any]
    generated_shops: int
    generated_buyers: int
    by_time: bool


def useful_study(histories: Histories, plan: UsefulPlan, work: Path, tell: Tell) -> Figures:
    """The part's figures; `work` keeps what is done.

    Raises:
        EvaluationError: a held-out store is not in the data; or the folder's choice is of other data.
    """
    generated = None
    if plan.generated_shops:
        tell("useful: generating shops")
        shops, buyers = plan.generated_shops, plan.generated_shops * plan.generated_buyers
        traffic = TrafficConfig(buyers=buyers, hours=14 * 24, stores=shops)
        generated = training_rows(generate(traffic, _TRAFFIC_SEED))
    study = UsefulStudy(histories, generated, plan, work, tell)
    return study.figures() | {"sources": histories.described()}


class _Training(NamedTuple):
    """A scene with an encoder to be trained for it. training: the rows to train on."""

    name: str
    scene: Scene
    training: BuyerVectors


class UsefulStudy:
    """The scenes of the plan."""

    def __init__(
        self, histories: Histories, generated: BuyerVectors | None, plan: UsefulPlan, work: Path, tell: Tell
    ) -> None:
        self._work = work / "useful"
        self._plan = plan
        self._tell = tell
        tell("useful: reading and folding the events")
        self._data = training_rows(histories.events())
        own = Scene.by_buyer(self._data)
        require_stores(plan.held_out, own.stores, "events")
        self._own = _Training("own shops", own, buyers_with(self._data, own.learned))
        self._unseen = [self._held_out(store) for store in plan.held_out]
        self._time = self._by_time(histories) if plan.by_time else None
        self._generated = None
        if generated is not None:
            scene = Scene.by_buyer(generated)
            self._generated = _Training("generated shops", scene, buyers_with(generated, scene.learned))

    def _held_out(self, store: str) -> _Training:
        own = self._own.scene
        others = [one for one in own.stores if one != store]
        return _Training(
            f"{store}, unseen",
            own.only([store], [store]),
            buyers_with(self._data, own.only(others, []).learned),
        )

    def _by_time(self, histories: Histories) -> _Training | None:
        cuts = self._cuts()
        if not cuts:
            return None

        def past() -> Iterator[list[Event]]:
            for batch in histories.events():
                yield [event for event in batch if event.timestamp < cuts.get(event.store, 0)]

        return _Training("the future", Scene.by_time(self._data, cuts), training_rows(past()))

    def _cuts(self) -> dict[str, int]:
        """Per shop with enough days, the time (ms) before which 60 % of its rows lie."""
        own, cuts = self._own.scene, {}
        for index, store in enumerate(own.stores):
            times = self._data.time[own.store == index]
            if times.max() - times.min() >= _DAYS * 24 * 3_600_000:
                cuts[store] = int(np.quantile(times, _CUT))
        return cuts

    def figures(self) -> dict[str, Any]:
        """All of the part; judged rows are opened once the plan is a file."""
        trainings = [self._own, *self._unseen, self._time, self._generated]
        present = [one for one in trainings if one is not None]
        choice = Choice(self._work / "choice.json")
        jobs = [self._job(one, seed) for one in present for seed in self._plan.seeds]
        jobs += [self._reference_job(one.name, one.scene) for one in present]
        choice.among([job.result for job in jobs[: len(self._plan.seeds)]], RULE, dict)
        work_through(jobs, self._tell)
        choice.open()
        own = self._judge(self._own)
        found: dict[str, Any] = {
            "own": own.figures() | {"bars": own.bars(BARS, "real shops")},
            "truth": self._of_seeds(self._own, judge_claims),
            "probabilities": self._of_seeds(self._own, judge_probabilities),
            "unseen": {one.name: self._judge_unseen(one) for one in self._unseen},
            "seconds": [self._answers(one, s).seconds for one in present for s in self._plan.seeds],
            "choice": choice.read(),
            "tasks": [job.title for job in jobs],
            "rows": _sides(self._own.scene),
        }
        if self._time is not None:
            found["time"] = self._judge(self._time).figures() | {"rows": _sides(self._time.scene)}
        if self._generated is not None:
            judged = self._judge(self._generated)
            found["generated"] = judged.figures() | {
                "rows": _sides(self._generated.scene),
                "truth": self._of_seeds(self._generated, judge_claims),
                "bars": [
                    bar
                    for index, store in enumerate(self._generated.scene.stores)
                    for bar in judged.bars(BARS, store, [index])
                ],
            }
        return found

    def _judge(self, one: _Training) -> Judgement:
        self._tell(f"useful: figures of {one.name}")
        ours = [self._answers(one, seed) for seed in self._plan.seeds]
        return Judgement.of(one.scene, self._references(one.name, one.scene), ours)

    def _judge_unseen(self, one: _Training) -> Figures:
        """Rates from the shop's own learned sessions, and, lent, from the other shops alone."""
        own = self._judge(one)
        store = one.name.removesuffix(", unseen")
        others = [name for name in one.scene.stores if name != store]
        lent = self._own.scene.only(others, [store])
        ours = [self._answers(one, seed) for seed in self._plan.seeds]
        groups = Judgement.of(lent, {}, ours)
        return own.figures() | {
            "bars": own.bars(UNSEEN_BARS, one.name),
            "lent": groups.figures()["contenders"],
            "truth": self._of_seeds(one, judge_claims),
            "probabilities": self._of_seeds(one, judge_probabilities),
        }

    def _of_seeds(self, one: _Training, judge: Any) -> list[Any]:
        return [judge(one.scene, self._answers(one, seed)) for seed in self._plan.seeds]

    def _path(self, one: _Training, seed: int) -> Path:
        key = [_FORMAT, _digest(one.training), _digest(one.scene.data), dict(self._plan.config), seed]
        return result_path(self._work, json.dumps(key, sort_keys=True), ".npz")

    def _job(self, one: _Training, seed: int) -> Job:
        path = self._path(one, seed)
        title = f"encoder for {one.name}, seed {seed}"
        return Job(path, path.with_suffix(".lock"), title, lambda: self._answers(one, seed))

    def _answers(self, one: _Training, seed: int) -> Answers:
        def make() -> bytes:
            return packed(trained_answers(one.training, one.scene.data, dict(self._plan.config), seed))

        return unpacked(kept(self._path(one, seed), make))

    def _reference_path(self, scene: Scene) -> Path:
        sides = hashlib.sha256(np.stack([scene.learned, scene.judged]).tobytes()).hexdigest()
        return result_path(self._work, json.dumps([_FORMAT, _digest(scene.data), sides]), ".references.npz")

    def _reference_job(self, name: str, scene: Scene) -> Job:
        path = self._reference_path(scene)
        title = f"references for {name}"
        return Job(path, path.with_suffix(".lock"), title, lambda: self._references(name, scene))

    def _references(self, name: str, scene: Scene) -> dict[str, Floats]:
        def make() -> bytes:
            return packed_scores(reference_scores(scene, 0, models_of=(COUNTS, ALL)))

        return unpacked_scores(kept(self._reference_path(scene), make))


def _digest(data: BuyerVectors) -> str:
    digest = hashlib.sha256()
    for column in (data.vectors, data.buyer, data.position, data.time):
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()


def _sides(scene: Scene) -> Figures:
    """How many buyers are learned from and judged, and in how many sessions."""

    def buyers(rows: Bools) -> int:
        return len(np.unique(scene.data.buyer[rows]))

    return {
        store: {
            "buyers learned": buyers(scene.learned & (scene.store == index)),
            "buyers judged": buyers(scene.judged & (scene.store == index)),
            "sessions judged": int(
                (scene.judged & (scene.store == index) & (scene.data.position == 1)).sum()
            ),
        }
        for index, store in enumerate(scene.stores)
    }
