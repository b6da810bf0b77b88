"""Goals in other words: a rewriting language model may be plugged into `llm prepare`.

Templates say few things in few ways. A rewriter says each goal anew; it sees the goal's text alone, never
a session, so a neutral goal stays as ignorant of the intent as its template.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from training.persona_llm.agents.chat import Chat
from training.persona_llm.traces.traces import Trace

Rewriter = Callable[[str], str]
"""A goal's text -> the same goal in other words."""

MAX_GOAL: Final = 200
_ASK: Final = (
    "Rewrite the instruction that a shopper is given, in one short sentence. Keep its meaning exactly: "
    "add no product, no intent and no detail. Answer with the sentence alone."
)


def chat_rewriter(chat: Chat) -> Rewriter:
    """A rewriter behind a chat endpoint."""
    return lambda goal: chat.answer([("system", _ASK), ("user", goal)])


def rewritten(traces: Sequence[Trace], rewriter: Rewriter) -> tuple[list[Trace], dict[str, Any]]:
    """Traces whose goals are said anew; each different goal is asked for once.

    An answer that is no single line of at most MAX_GOAL characters is not taken: the template stays.
    Returns the traces and {"goals", "taken"}: how many different goals there are, and how many changed.
    """
    goals = sorted({goal for t in traces for goal in (t.neutral, t.explicit, t.wrong)})
    new_texts = {goal: _checked(rewriter(goal)) or goal for goal in goals}
    about = {"goals": len(goals), "taken": sum(new_texts[goal] != goal for goal in goals)}
    replaced = [
        msgspec.structs.replace(
            t, neutral=new_texts[t.neutral], explicit=new_texts[t.explicit], wrong=new_texts[t.wrong]
        )
        for t in traces
    ]
    return replaced, about


def _checked(answer: str) -> str | None:
    lines = [line.strip().strip('"') for line in answer.splitlines() if line.strip()]
    return lines[0] if len(lines) == 1 and len(lines[0]) <= MAX_GOAL else None
