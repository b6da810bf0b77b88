"""Runs of an evaluation: models trained, sessions simulated, likelihoods, each kept as a file."""

from __future__ import annotations

import io
import time
import zlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import torch
from msgspec.structs import replace
from numpy.typing import NDArray

from inference.bundles.bundle import Bundle
from studies.encoder.plan import NO_TYPES
from studies.engine import Job, Tell, kept, result_path, work_through
from studies.persona_llm.contenders.in_words import WORDS, with_profiles
from studies.persona_llm.contenders.pairings import paired_codes
from studies.persona_llm.contenders.trace_codes import TraceCoder
from studies.persona_llm.judged_sessions import Material
from studies.persona_llm.plan import Fit, Likelihood, Play, Task, Tokens
from studies.sealed_test import Choice
from training.errors import EvaluationError
from training.persona_llm.agents.agents import Run, Shopper, simulate
from training.persona_llm.measures import Judged
from training.persona_llm.model.base import Base, load_base, placed
from training.persona_llm.model.config import LlmConfig, stages
from training.persona_llm.model.likelihood import log_likelihood
from training.persona_llm.model.prompts import GoalKind
from training.persona_llm.model.tokens import add_persona_tokens, codebook
from training.persona_llm.model.train import common_words, train_llm
from training.persona_llm.storefront.storefront import Goal
from training.persona_llm.traces.goals import FULFILLED_BY
from training.persona_llm.traces.sessions import LANDMARK
from training.persona_llm.traces.traces import NO_CODE, Kind, Split, Trace

_FORMAT: Final = 1  # part of every key: what a result file holds
KIND: Final[dict[Tokens, Kind]] = {
    "everything": "after",
    "early": "early",
    "before": "before",
    "trace": "after",
    "profile": "after",
}
_SEED: Final = 0  # of storefronts and of the codes of traces


class Runs:
    """Models and what they did, kept in a folder. Test sessions are sealed until the choice is opened."""

    def __init__(self, material: Material, encoder: dict[str, Any], folder: Path, choice: Choice) -> None:
        """encoder: what differs from TrainConfig's defaults."""
        self.material = material
        self._encoder, self._folder, self._choice = encoder, folder, choice
        self._traces: dict[tuple[Tokens, str | None], list[Trace]] = {}
        self._loaded: tuple[Fit, Base] | None = None

    @cached_property
    def stores(self) -> dict[str, Any]:
        """The storefronts."""
        return self.material.storefronts(_SEED)

    def bundle(self, held_out: str | None) -> Bundle:
        """The encoder that gives the tokens."""
        untyped = {} if held_out is None else NO_TYPES  # nobody asks those for a type
        return self.material.encoder(held_out, self._encoder | untyped, self._folder)

    @cached_property
    def trace_coder(self) -> TraceCoder:
        """The encoder of actions alone."""
        training = [trace.actions for trace in self.material.traces if trace.split == "train"]
        return TraceCoder.fit(training, _SEED)

    def traces(self, fit: Fit) -> list[Trace]:
        """All sessions, with the tokens (or the words) that the model of `fit` is given."""
        key = fit.tokens, fit.held_out
        if key not in self._traces:
            self._traces[key] = self._coded(fit)
        return self._traces[key]

    def _coded(self, fit: Fit) -> list[Trace]:
        if fit.tokens == "trace":
            codes = self.trace_coder.codes([trace.actions for trace in self.material.traces])
            pairs = zip(self.material.traces, codes.tolist(), strict=True)
            return [
                replace(trace, codes={"before": NO_CODE, "early": NO_CODE, "after": c}) for trace, c in pairs
            ]
        coded = self.material.coded(self.bundle(fit.held_out))
        if fit.tokens == "profile":
            return with_profiles(coded, self.material.vectors["after"].vectors)
        return coded

    def possible(self, fit: Fit) -> bool:
        """Whether there is a session on every side that can have such a token: shoppers who come once have
        none from earlier sessions."""
        traces, rows = self.material.traces, self.material.vectors[KIND[fit.tokens]].rows.tolist()
        return {traces[row].split for row in rows} >= {"train", "validation", "test"}

    def seen(self, fit: Fit) -> list[Trace]:
        """Sessions that a model or a baseline of `fit` may learn from and be chosen by."""
        kind = KIND[fit.tokens]
        return [
            trace
            for trace in self.traces(fit)
            if trace.store != fit.held_out and trace.split != "test" and trace.codes[kind] != NO_CODE
        ]

    def judged(self, fit: Fit, side: Split) -> Judged:
        """The sessions to judge: of the held-out store, or of all.

        Raises:
            EvaluationError: test sessions are still sealed, or there is none to judge.
        """
        if side == "test":
            self._choice.require_open()
        kind = KIND[fit.tokens]
        found = [
            trace
            for trace in self.traces(fit)
            if trace.split == side and trace.codes[kind] != NO_CODE and fit.held_out in (None, trace.store)
        ]
        if not found:
            raise EvaluationError(f"no {side} session has a token of {fit.tokens}; give more events")
        return Judged.of(found)

    # ---- what is kept

    def do(self, tasks: Sequence[Task], tell: Tell) -> None:
        """Do what is missing; of two processes, one at a time is at a model."""
        work_through([self._job(task) for task in tasks], tell)

    def _job(self, task: Task) -> Job:
        return Job(
            result=self.path(task),
            claim=self.path(task.fit).with_suffix(".lock"),
            title=f"{task.fit.title}: {title_of(task)}",
            make=lambda: self.play(task) if isinstance(task, Play) else self.likelihood(task),
        )

    def done(self, tasks: Sequence[Task]) -> bool:
        """Whether all of them are there."""
        return all(self.path(task).exists() for task in tasks)

    def path(self, what: Fit | Task) -> Path:
        """Where a result is or will be."""
        key = [_FORMAT, type(what).__name__, what.model_dump_json(), self.material.digest]
        key.append(repr(sorted(self._encoder.items())))
        return result_path(self._folder, repr(key), ".bin")

    def model(self, fit: Fit) -> Base:
        """The trained model, made or found."""
        if self._loaded is None or self._loaded[0] != fit:
            content = kept(self.path(fit), lambda: self._trained(fit))
            trained = torch.load(io.BytesIO(content), weights_only=True)
            base = load_base(fit.base, fit.seed, trained["words"])
            add_persona_tokens(base, seed=fit.seed)
            base.model.load_state_dict(trained["state"])
            base = base._replace(model=base.model.eval(), plans=_config(fit).plans)
            self._loaded = fit, placed(base)
        return self._loaded[1]

    def _trained(self, fit: Fit) -> bytes:
        started = time.process_time()
        config = _config(fit)
        words = [word for words in WORDS for word in words] if fit.tokens == "profile" else []
        traces = self.seen(fit)
        vectors = codebook(self.bundle(fit.held_out)) if config.token_rows == "codes" else None
        trained = train_llm(
            traces,
            config,
            words=words,
            code_vectors=vectors,
            resume_from=self.path(fit).with_suffix(".checkpoint"),
        )
        training = [trace for trace in traces if trace.split == "train"]
        buffer = io.BytesIO()
        torch.save(
            {
                "words": [*common_words(training), *words],
                "state": trained.base.model.state_dict(),
                "losses": trained.losses,
                "seconds": round(time.process_time() - started, 1),
            },
            buffer,
        )
        return buffer.getvalue()

    def about(self, fit: Fit) -> dict[str, Any]:
        """How a training went: losses per epoch, CPU seconds."""
        trained = torch.load(self.path(fit), weights_only=True)
        return {"losses": trained["losses"], "seconds": trained["seconds"]}

    def play(self, play: Play) -> list[Run]:
        """One run beside each judged session, `draws` times over (all sessions, then all again)."""
        packed = kept(self.path(play), lambda: self._played(play))
        return msgspec.msgpack.decode(zlib.decompress(packed), type=list[Run])

    def _played(self, play: Play) -> bytes:
        judged = self.judged(play.fit, play.side)
        runs = simulate(
            self.model(play.fit),
            self.stores,
            self._shoppers(play, judged),
            seed=play.fit.seed,
            temperature=play.temperature,
            guidance=play.guidance,
            held=play.held,
        )
        return zlib.compress(msgspec.msgpack.encode(runs))

    def _shoppers(self, play: Play, judged: Judged) -> list[Shopper]:
        given = LANDMARK if play.fit.tokens == "early" else 0
        shoppers = []
        for draw in range(play.draws):
            codes = paired_codes(judged, KIND[play.fit.tokens], play.pairing, play.fit.seed + draw)
            shoppers += [
                Shopper(
                    trace.store,
                    int(code),
                    goal_of(trace, play.goal),
                    tuple(trace.actions[:given]),
                    named=trace.store != play.fit.held_out,
                )
                for trace, code in zip(judged.traces, codes, strict=True)
            ]
        return shoppers

    def likelihood(self, task: Likelihood) -> NDArray[np.float64]:
        """Log-likelihood of each judged session's actions, nats, float64 [n]."""
        return np.frombuffer(kept(self.path(task), lambda: self._likelihood(task)), np.float64)

    def _likelihood(self, task: Likelihood) -> bytes:
        fit, judged = task.fit, self.judged(task.fit, task.side)
        found = log_likelihood(
            self.model(fit),
            judged.traces,
            paired_codes(judged, KIND[fit.tokens], task.pairing, fit.seed),
            given=LANDMARK if fit.tokens == "early" else 0,
            named=fit.held_out is None,
        )
        return found.tobytes()


def _config(fit: Fit) -> LlmConfig:
    """How a model of this fit is trained."""
    plan = stages(fit.schedule, fit.base, fit.epochs)
    return LlmConfig(base=fit.base, seed=fit.seed, kind=KIND[fit.tokens], stages=plan, **fit.config)


def title_of(task: Task) -> str:
    """A task in words."""
    if isinstance(task, Likelihood):
        return f"likelihood, token {task.pairing}"
    return f"{task.side} sessions simulated, token {task.pairing}, goal {task.goal}"


def goal_of(trace: Trace, kind: GoalKind) -> Goal:
    """A trace's goal, and the action that fulfils it."""
    if kind == "neutral":
        return Goal(trace.neutral, None)
    if kind == "wrong":
        return Goal(trace.wrong, FULFILLED_BY[trace.wrong_outcome])
    return Goal(trace.explicit, FULFILLED_BY[trace.outcome])
