"""Train a persona LLM: stage by stage, resumable at any step, the same weights with a kill as without."""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import structlog
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from feature_store.errors import OutputError
from training.encoder import checkpoint
from training.errors import DatasetError, DivergedError
from training.persona_llm.model.base import Base, load_base
from training.persona_llm.model.config import LlmConfig, Stage
from training.persona_llm.model.plans import plan_line
from training.persona_llm.model.prompts import Example, GoalKind, batch, example
from training.persona_llm.model.tokens import add_persona_tokens
from training.persona_llm.traces.goals import about_words
from training.persona_llm.traces.sessions import LANDMARK
from training.persona_llm.traces.traces import NO_CODE, Trace

log = structlog.get_logger()

_POOL: Final = 16
"""Batches that are sorted by length together."""
_WORD_USES: Final = 5


class TrainedLlm(NamedTuple):
    """A trained model with its tokens (eval mode, CPU); losses: mean validation loss a written token after
    each epoch, in nats."""

    base: Base
    config: LlmConfig
    losses: list[float]


class _Step(NamedTuple):
    """One step of the whole run: which stage and epoch, which traces, and how far the stage is (0 to 1)."""

    stage: int
    epoch: int
    rows: NDArray[np.int64]
    progress: float
    ends_epoch: bool


def train_llm(
    traces: Sequence[Trace],
    config: LlmConfig,
    *,
    resume_from: Path | None = None,
    code_vectors: NDArray[np.float32] | None = None,
    words: Sequence[str] = (),
) -> TrainedLlm:
    """Train on the traces of the split "train" that have a token of config.kind; the others choose the epoch.

    resume_from: a file to go on from after a kill; it is removed at the end. code_vectors float32 [256, d]:
    the codebook, where token rows start from it. words: what goals often say besides common_words.

    Raises:
        DatasetError: no trace to train or to validate on, or the checkpoint is of another run.
        DivergedError: the loss is no longer finite.
        OutputError: the checkpoint cannot be written.
        ExportError: the base model cannot be loaded.
    """
    training = _with_token(traces, config, "train")
    validation = _with_token(traces, config, "validation")
    base = load_base(config.base, config.seed, [*common_words(training), *words])
    vectors = code_vectors if config.token_rows == "codes" else None
    ids = add_persona_tokens(base, seed=config.seed, code_vectors=vectors)
    run = _Run(base, ids, config, training, validation)
    return run.go(resume_from)


def common_words(traces: Sequence[Trace]) -> list[str]:
    """Store names, and the words of _WORD_USES explicit goals or more that are not of a template."""
    uses = Counter(about for trace in traces if (about := about_words(trace.steps)))
    stores = {trace.store for trace in traces}
    return sorted(stores | {word for word, count in uses.items() if count >= _WORD_USES})


def _with_token(traces: Sequence[Trace], config: LlmConfig, split: str) -> list[Trace]:
    found = [t for t in traces if t.split == split and t.codes[config.kind] != NO_CODE]
    if not found:
        raise DatasetError(f"no {split} trace has a token of the kind {config.kind!r}; give more events")
    return found


class _Run:
    def __init__(
        self,
        base: Base,
        token_ids: NDArray[np.int64],
        config: LlmConfig,
        training: list[Trace],
        validation: list[Trace],
    ) -> None:
        self.base, self.config = base, config
        self.training, self.validation = training, validation
        # Where the rows begin: of two runs that begin elsewhere none goes on from the other's checkpoint.
        first = base.model.get_input_embeddings().get_parameter("weight")[token_ids]
        self.first_rows = first.detach().cpu().numpy().tobytes()
        on_gpu = torch.cuda.is_available()
        self.accelerator = Accelerator(mixed_precision="bf16" if on_gpu else "no", cpu=not on_gpu)
        self.device = self.accelerator.device
        self.model = self.accelerator.prepare_model(_adapted(base, config, token_ids))
        self.token_ids = torch.from_numpy(token_ids).to(self.device)
        self.losses: list[float] = []
        self.best, self.kept = math.inf, dict[str, Tensor]()
        self.given = LANDMARK if config.kind == "early" else 0
        actions = np.mean([len(trace.steps) - self.given for trace in training])
        self.actions_per_batch = float(actions) * config.batch_size

    def go(self, resume_from: Path | None) -> TrainedLlm:
        """All steps that are still to do, then the weights of the best epoch of the last stage."""
        plan = list(self._plan())
        done, optimiser = self._resume(resume_from, plan)
        with _progress() as bar:
            task = bar.add_task("training the persona LLM", total=len(plan), completed=done, loss=math.nan)
            for number in range(done, len(plan)):
                step = plan[number]
                if optimiser is None or (number and plan[number - 1].stage != step.stage):
                    optimiser = self._optimiser(self.config.stages[step.stage])
                self._learn(step, optimiser)
                if step.ends_epoch:
                    self._validate(step)
                bar.update(task, completed=number + 1, loss=self.losses[-1] if self.losses else math.nan)
                if resume_from and (number + 1) % self.config.checkpoint_steps == 0:
                    self._save(resume_from, number + 1, optimiser)
        self.model.load_state_dict(self.kept)
        if resume_from:
            resume_from.unlink(missing_ok=True)
        model = self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False).cpu().eval()
        if self.config.lora_rank:
            model = model.merge_and_unload()
        return TrainedLlm(self.base._replace(model=model, plans=self.config.plans), self.config, self.losses)

    def _plan(self) -> Iterator[_Step]:
        lengths = np.array([len(trace.steps) for trace in self.training])
        for number, stage in enumerate(self.config.stages):
            total = stage.epochs * math.ceil(len(lengths) / self.config.batch_size)
            done = 0
            for epoch in range(stage.epochs):
                random = np.random.default_rng([self.config.seed, number, epoch])
                batches = _batches(lengths, self.config.batch_size, random)
                for place, rows in enumerate(batches, start=1):
                    yield _Step(number, epoch, rows, done / total, place == len(batches))
                    done += 1

    def _learn(self, step: _Step, optimiser: torch.optim.Optimizer) -> None:
        stage = self.config.stages[step.stage]
        for group in optimiser.param_groups:
            group["lr"] = stage.learning_rate * _warm_cosine(step.progress)
        random = np.random.default_rng([self.config.seed, step.stage, step.epoch, int(step.rows[0])])
        rows = [self._example(self.training[i], stage, random) for i in step.rows]
        self.model.train()
        # Batches are of like lengths: without this an action of a short session would weigh more.
        loss = self._loss(rows) * (sum(len(row.written) for row in rows) / self.actions_per_batch)
        if not math.isfinite(loss.item()):
            raise DivergedError(f"the loss became {loss.item()}; lower the learning rate")
        optimiser.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        if stage.trainable == "tokens":
            self._only_token_rows()
        self.accelerator.clip_grad_norm_(self.model.parameters(), 1.0)
        optimiser.step()

    def _example(self, trace: Trace, stage: Stage, random: np.random.Generator) -> Example:
        goal: GoalKind = "neutral" if stage.goals == "neutral" else "explicit"
        if stage.goals == "mixed":
            goal = "neutral" if random.random() < 0.5 else "explicit"
        # In the stage that trains nothing but tokens a trace without one would teach nothing.
        hidden = stage.trainable == "all" and random.random() < self.config.token_dropout
        code = NO_CODE if hidden else trace.codes[self.config.kind]
        named = random.random() >= self.config.store_dropout
        plan = self._planned(trace)
        return example(trace, code, goal, self.base.tokenizer, given=self.given, named=named, plan=plan)

    def _planned(self, trace: Trace) -> str:
        return plan_line(trace.actions[self.given :]) if self.config.plans else ""

    def _loss(self, rows: Sequence[Example]) -> Tensor:
        inputs = batch(rows, int(self.base.tokenizer.pad_token_id), self.config.max_tokens)
        loss: Tensor = self.model(**{name: rows.to(self.device) for name, rows in inputs.items()}).loss
        return loss

    def _only_token_rows(self) -> None:
        for name, parameter in self.model.named_parameters():
            if parameter.grad is None or "trainable_tokens" in name:  # peft keeps the rows by themselves
                continue
            if parameter.shape[0] != len(self.base.tokenizer):
                parameter.grad = None
                continue
            kept = parameter.grad[self.token_ids].clone()
            parameter.grad.zero_()
            parameter.grad[self.token_ids] = kept

    @torch.no_grad()
    def _validate(self, step: _Step) -> None:
        """Mean loss on validation traces with the goals of its stage; mixed: every other one is neutral."""
        self.model.eval()
        goals = self.config.stages[step.stage].goals
        total, count = 0.0, 0
        for start in range(0, len(self.validation), 2 * self.config.batch_size):
            part = self.validation[start : start + 2 * self.config.batch_size]
            rows = [
                example(
                    t,
                    t.codes[self.config.kind],
                    "neutral" if goals == "neutral" or (goals == "mixed" and i % 2 == 0) else "explicit",
                    self.base.tokenizer,
                    given=self.given,
                    plan=self._planned(t),
                )
                for i, t in enumerate(part, start=start)
            ]
            weight = sum(len(row.written) for row in rows)
            total, count = total + float(self._loss(rows)) * weight, count + weight
        loss = total / count
        self.losses.append(loss)
        log.info("llm_epoch", stage=step.stage, epoch=step.epoch, validation_loss=round(loss, 4))
        last = step.stage == len(self.config.stages) - 1
        if last and (step.epoch == 0 or loss < self.best):
            self.best = loss
            self.kept = {
                name: value.detach().cpu().clone() for name, value in self.model.state_dict().items()
            }

    def _optimiser(self, stage: Stage) -> torch.optim.Optimizer:
        # Decay would pull the resting rows of the table that the tokens live in.
        decay = 0.0 if stage.trainable == "tokens" else self.config.weight_decay
        trainable = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        optimiser = torch.optim.AdamW(trainable, lr=stage.learning_rate, weight_decay=decay)
        prepared: torch.optim.Optimizer = self.accelerator.prepare_optimizer(optimiser)
        return prepared

    # ---- resume

    def _identity(self) -> str:
        """What makes a run this run: a checkpoint of another must not be continued."""
        seen = [*self.training, *self.validation]
        traces = [[t.split, t.store, t.codes, t.neutral, t.explicit, t.actions] for t in seen]
        digest = hashlib.sha256(json.dumps(traces).encode() + self.first_rows).hexdigest()
        return json.dumps([self.config.model_dump(mode="json"), digest])

    def _save(self, path: Path, done: int, optimiser: torch.optim.Optimizer) -> None:
        state: dict[str, Any] = {
            "done": done,
            "model": self.model.state_dict(),
            "optimiser": optimiser.state_dict(),
            "losses": self.losses,
            "best": self.best,
            "kept": self.kept,
        }
        try:
            checkpoint.save(path, self._identity(), state)
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error

    def _resume(self, path: Path | None, plan: Sequence[_Step]) -> tuple[int, torch.optim.Optimizer | None]:
        state = checkpoint.load(path, self._identity())
        if state is None:
            return 0, None
        self.model.load_state_dict(state["model"])
        self.losses, self.best, self.kept = state["losses"], state["best"], state["kept"]
        optimiser = self._optimiser(self.config.stages[plan[state["done"] - 1].stage])
        optimiser.load_state_dict(state["optimiser"])
        log.info("llm_resumed", step=state["done"], of=len(plan))
        return int(state["done"]), optimiser


def _adapted(base: Base, config: LlmConfig, token_ids: NDArray[np.int64]) -> Any:
    """The model itself, or with low-rank adapters beside its layers and the token rows trainable."""
    if not config.lora_rank:
        return base.model
    from peft import LoraConfig, get_peft_model

    adapters = LoraConfig(
        r=config.lora_rank,
        lora_alpha=2 * config.lora_rank,
        target_modules="all-linear",
        trainable_token_indices=token_ids.tolist(),
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(config.seed)
    return get_peft_model(base.model, adapters)


def _batches(lengths: NDArray[np.int64], size: int, random: np.random.Generator) -> list[NDArray[np.int64]]:
    """All rows once, in random batches of rows of like lengths int64 [n]: little of a batch is padding."""
    order = random.permutation(len(lengths))
    pools = [order[start : start + _POOL * size] for start in range(0, len(order), _POOL * size)]
    alike = [pool[np.argsort(lengths[pool], kind="stable")] for pool in pools]
    batches = [pool[start : start + size] for pool in alike for start in range(0, len(pool), size)]
    return [batches[place] for place in random.permutation(len(batches))]


def _warm_cosine(progress: float) -> float:
    """Learning rate as a share of its peak: up over the first 5 % of a stage, then down along a cosine."""
    return progress / 0.05 if progress < 0.05 else 0.5 * (1 + math.cos(math.pi * (progress - 0.05) / 0.95))


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps, validation loss {task.fields[loss]:.3f}, left"),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
    )
