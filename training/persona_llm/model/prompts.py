"""What the model reads and writes: persona token, store and goal, then a plan and one action a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from feature_store.online.assignment import token
from training.persona_llm.model.base import action_line
from training.persona_llm.traces.traces import NO_CODE, Trace

IGNORED: Final = -100
"""Label of what is given, not predicted (torch's cross-entropy)."""
GoalKind = Literal["neutral", "explicit", "wrong"]
ANY_STORE: Final = "any"
"""Said in place of a store's name: of a store that the model was not trained on, and of a share of the
training traces (LlmConfig.store_dropout), so that an unnamed store is nothing new."""


class Example(NamedTuple):
    """Token ids of a prompt, and of what is written after it: the plan, if any, and the actions."""

    prompt: list[int]
    written: list[int]


def prompt_text(store: str, goal: str, code: int) -> str:
    """The text before the first action. NO_CODE: a shopper without a persona token."""
    persona = "" if code == NO_CODE else token(code)
    return f"{persona}shop: {store}\ngoal: {goal}\n"


def example(
    trace: Trace,
    code: int,
    goal: GoalKind,
    tokenizer: PreTrainedTokenizerBase,
    *,
    given: int = 0,
    named: bool = True,
    plan: str = "",
) -> Example:
    """A trace as token ids; its first `given` actions count as read, not as written. named: whether the
    store's name is said; plan: a line that is written before them (plans.plan_line)."""
    goals = {"neutral": trace.neutral, "explicit": trace.explicit, "wrong": trace.wrong}
    lines = [action_line(action) for action in trace.actions]
    store = trace.store if named else ANY_STORE
    read = prompt_text(store, goals[goal], code) + "".join(lines[:given])
    return Example(
        tokenizer(read, add_special_tokens=False)["input_ids"],
        tokenizer(plan + "".join(lines[given:]), add_special_tokens=False)["input_ids"],
    )


def batch(examples: Sequence[Example], pad: int, max_tokens: int) -> dict[str, Tensor]:
    """Right-padded input_ids, attention_mask and labels int64 [n, t]; labels only on what is written.

    A trace beyond max_tokens is cut: its last actions are not learned from.
    """
    rows = [(e.prompt + e.written)[:max_tokens] for e in examples]
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), pad)
    labels = torch.full((len(rows), width), IGNORED)
    mask = torch.zeros((len(rows), width), dtype=torch.int64)
    for i, (row, one) in enumerate(zip(rows, examples, strict=True)):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
        start = len(one.prompt)
        labels[i, start : len(row)] = torch.tensor(row[start:])
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}
