"""Shopping agents: one a persona token, batched, held to the syntax of actions, counted however they end."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import llguidance
import llguidance.hf
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import DynamicCache

from training.errors import ExportError
from training.persona_llm.agents.sampling import exaggerated, sample
from training.persona_llm.model.base import Base, action_line
from training.persona_llm.model.plans import AIMED, AIMS, WITHIN, aims_of, held_back
from training.persona_llm.model.prompts import ANY_STORE, prompt_text
from training.persona_llm.storefront.actions import ACTIONS, NUMBER, Step
from training.persona_llm.storefront.store_model import StoreModel
from training.persona_llm.storefront.storefront import Goal, Storefront
from training.persona_llm.traces.traces import NO_CODE

End = Literal["done", "left", "limit", "invalid", "loop"]
ENDS: Final[tuple[End, ...]] = ("done", "left", "limit", "invalid", "loop")
"""done: the goal was fulfilled, then the shopper left. left: left without it. limit: still there after
STEP_LIMIT steps. invalid: REFUSED_LIMIT actions in a row that the page did not have. loop: the last
LOOP_STEPS actions are one or two actions, over and over."""
GUIDANCE: Final = 2.0
"""What validation chose for goals that say nothing (docs/evaluation-llm.md); other goals are played at 1."""
REFUSED_LIMIT: Final = 5
LOOP_STEPS: Final = 24
"""Of 1,000 real sessions fewer than five hold such a run."""


class Shopper(NamedTuple):
    """Who shops where for what: a code (NO_CODE for none), a store, a goal, and actions already done.

    named: whether the prompt says the store's name; a store that was not trained on is better left unnamed.
    """

    store: str
    code: int
    goal: Goal
    begun: tuple[str, ...] = ()
    named: bool = True


class Run(NamedTuple):
    """What a shopper did. refused: actions that the page did not have, which changed nothing. plan: what the
    model wrote before the first action (plans.py), None where it writes none."""

    shopper: Shopper
    end: End
    steps: list[Step]
    refused: int
    plan: str | None = None

    @property
    def actions(self) -> list[str]:
        """The actions that were done."""
        return [step.action for step in self.steps]


def simulate(
    base: Base,
    stores: Mapping[str, StoreModel],
    shoppers: Sequence[Shopper],
    *,
    seed: int,
    batch_size: int = 128,
    temperature: float = 1.0,
    guidance: float = 1.0,
    held: bool = True,
) -> list[Run]:
    """Let every shopper shop until they leave or fail; the runs are in the order of shoppers.

    guidance: by what factor the token changes the scores of a shopper without one (classifier-free guidance,
    Sanchez et al. 2023); 1 is the model as it is, more exaggerates the persona. A model that plans
    (base.plans) is held to its plan, unless held is False. The same seed, model and shoppers give the same
    runs on one machine.

    Raises:
        ExportError: the grammar cannot be written in the tokens of the base.
    """
    grammar = _Grammar(base, held=held)
    order = sorted(range(len(shoppers)), key=lambda i: len(shoppers[i].begun))  # less padding
    runs: dict[int, Run] = {}
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        agents = [Agent(shoppers[i], stores[shoppers[i].store], seed, i) for i in chosen]
        random = np.random.default_rng([seed, start])
        _play(base, grammar, agents, random, temperature=temperature, guidance=guidance)
        runs |= {i: agent.run() for i, agent in zip(chosen, agents, strict=True)}
    return [runs[i] for i in range(len(shoppers))]


class Agent:
    """One shopper in a storefront of their own; whoever decides, model or external agent."""

    def __init__(self, shopper: Shopper, model: StoreModel, seed: int, number: int) -> None:
        self.shopper, self.steps, self.refused = shopper, list[Step](), 0
        self._refused_in_succession = 0
        self._fulfilled = False
        self.end: End | None = None
        self.plan: str | None = None
        self.possible = frozenset(aim for aim in AIMS if model.offers(aim))
        self._shop = Storefront(model)
        self._shop.reset(seed=int(np.random.SeedSequence([seed, number]).generate_state(1)[0]))
        self.begun = [action for action in shopper.begun if self.act(action)]

    def act(self, action: str) -> bool:
        """Do an action; False where the page refused it. Sets `end` when the run is over."""
        _, _, left, out_of_steps, info = self._shop.step(np.int64(NUMBER[action]))
        if info["error"] is not None:
            self.misread()
        else:
            self._refused_in_succession = 0
            self.steps.append(info["step"])
            self._fulfilled |= action == self.shopper.goal.fulfilled_by
            if left:
                asked = self.shopper.goal.fulfilled_by is not None
                self.end = "done" if self._fulfilled or not asked else "left"
            elif _loops([step.action for step in self.steps]):
                self.end = "loop"
        if out_of_steps and self.end is None:
            self.end = "limit"
        return info["error"] is None

    def misread(self) -> None:
        """Take note of what was no action at all: it counts as refused."""
        self.refused += 1
        self._refused_in_succession += 1
        if self._refused_in_succession >= REFUSED_LIMIT:
            self.end = "invalid"

    @property
    def held_back(self) -> frozenset[str]:
        """The actions that its plan does not allow now; none without a plan."""
        done = [step.action for step in self.steps[len(self.begun) :]]
        return held_back(self.plan, done) if self.plan is not None else frozenset()

    @property
    def page(self) -> str:
        """The present page as text."""
        return self._shop.render()

    def prompt(self, *, persona: bool = True) -> str:
        """What the model reads before it writes the first action; with the persona token, or without."""
        begun = "".join(map(action_line, self.begun))
        store = self.shopper.store if self.shopper.named else ANY_STORE
        code = self.shopper.code if persona else NO_CODE
        return prompt_text(store, self.shopper.goal.text, code) + begun

    def run(self) -> Run:
        """The whole run; it must have ended."""
        assert self.end is not None
        return Run(self.shopper, self.end, self.steps, self.refused, self.plan)


def _loops(actions: Sequence[str]) -> bool:
    last = actions[-LOOP_STEPS:]
    return len(last) == LOOP_STEPS and last[2:] == last[:-2]


class _Grammar:
    """The syntax of a line, as the sets of tokens that may come next."""

    def __init__(self, base: Base, *, held: bool) -> None:
        tokenizer: Any = base.tokenizer
        self.size, self._plans, self._held = len(tokenizer), base.plans, held
        self._tokens = llguidance.hf.from_tokenizer(tokenizer, n_vocab=self.size)
        self._known: dict[str, llguidance.LLMatcher] = {}

    def reader(self, agent: Agent) -> llguidance.LLMatcher:
        """A reader of the line that the agent writes next: its plan, which the store can fulfil, or an action
        that the plan does not hold back."""
        if self.asks_plan(agent):
            aimed = [half for half in AIMED if aims_of(half) <= agent.possible]
            return self._reader(f"({_one_of(aimed)}) ({_one_of(WITHIN)})")
        held_back = agent.held_back if self._held else frozenset()
        return self._reader(_one_of(action_line(action) for action in ACTIONS if action not in held_back))

    def asks_plan(self, agent: Agent) -> bool:
        """Whether the agent has yet to plan."""
        return self._plans and agent.plan is None

    def _reader(self, line: str) -> llguidance.LLMatcher:
        # Copied: to compile the grammar anew took half of a simulation's time.
        if line not in self._known:
            self._known[line] = self._compiled(line)
        return self._known[line].deep_copy()

    def _compiled(self, line: str) -> llguidance.LLMatcher:
        # Where all lines begin alike llguidance would force that part, in tokens that no model has learned.
        lark = f'%llguidance {{"no_forcing": true}}\nstart: {line}'
        return llguidance.LLMatcher(self._tokens, llguidance.grammar_from("lark", lark), log_level=0)

    def allowed(self, matcher: llguidance.LLMatcher) -> NDArray[np.bool_]:
        """bool [vocabulary]: tokens that may come next."""
        packed = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
        return np.unpackbits(packed, bitorder="little")[: self.size].astype(np.bool_)


def _one_of(texts: Iterable[str]) -> str:
    return "|".join(json.dumps(text) for text in texts)


@torch.inference_mode()
def _play(
    base: Base,
    grammar: _Grammar,
    agents: list[Agent],
    random: np.random.Generator,
    *,
    temperature: float,
    guidance: float,
) -> None:
    """Token by token for all agents at once; those that have ended leave the batch and its cache.

    With guidance, each agent has a second row further down that reads the same without the persona token.
    """
    device = next(base.model.parameters()).device
    live = [agent for agent in agents if agent.end is None]
    if not live:
        return
    prompts = [agent.prompt() for agent in live]
    if guided := guidance != 1.0:
        prompts += [agent.prompt(persona=False) for agent in live]
    fed = base.tokenizer(
        prompts,
        add_special_tokens=False,
        padding=True,
        padding_side="left",
        return_tensors="pt",
    )
    ids, mask = fed["input_ids"].to(device), fed["attention_mask"].to(device)
    cache = DynamicCache(config=base.model.config)
    positions = (mask.cumsum(1) - 1).clamp_min(0)
    rows = [_Row(agent, grammar, int(ids[i, -1]), ids.shape[1] - 1) for i, agent in enumerate(live)]
    while rows:
        logits = base.model(
            input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
        ).logits[:, -1]
        count = len(rows)
        if guided:
            logits = exaggerated(logits[:count], logits[count:], guidance)
        allowed = np.stack([row.line.allowed() for row in rows])
        chosen = sample(logits, allowed, random, temperature)
        # What is fed next stands in a new column of the mask and, later, of the cache.
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        fed_next = [row.take(int(chosen[i]), mask[i::count], base) for i, row in enumerate(rows)]
        kept = [i for i, row in enumerate(rows) if row.agent.end is None]
        if len(kept) < count:
            rows = [rows[i] for i in kept]
            fed_next = [fed_next[i] for i in kept]
            both = [*kept, *(count + i for i in kept)] if guided else kept
            places = torch.tensor(both, dtype=torch.int64, device=device)
            cache.batch_select_indices(places)
            mask = mask[places]
        ids = torch.tensor(fed_next * (2 if guided else 1), dtype=torch.int64, device=device)[:, None]
        positions = mask.sum(1, keepdim=True) - 1


class _Row:
    """An agent in the batch: the line it writes, and the last token of what has happened so far."""

    def __init__(self, agent: Agent, grammar: _Grammar, last: int, column: int) -> None:
        self.agent, self.line = agent, _Line(grammar, agent)
        self._grammar, self._last, self._column = grammar, last, column

    def take(self, token: int, masks: Tensor, base: Base) -> int:
        """Write a token and act where a line is whole; returns the token to feed next.

        masks int64 [1 or 2, columns] are the agent's own. A refused action has not happened: its line is
        hidden from the model, and the last token before it is fed once more, in place of its first copy.
        """
        text = self.line.take(token, base)
        if text is None:
            return token
        new = masks.shape[1] - 1
        if self._grammar.asks_plan(self.agent):
            self.agent.plan, self._last = text, token
        elif self.agent.act(text):
            self._last = token
        else:
            masks[:, new - (self.line.length - 1) : new] = 0
            masks[:, self._column] = 0
        self._column = new
        self.line = _Line(self._grammar, self.agent)
        return self._last


class _Line:
    """A line that is being written."""

    def __init__(self, grammar: _Grammar, agent: Agent) -> None:
        self._grammar, self._matcher = grammar, grammar.reader(agent)
        self._written: list[int] = []

    @property
    def length(self) -> int:
        """Tokens written so far."""
        return len(self._written)

    def allowed(self) -> NDArray[np.bool_]:
        """Tokens that may come next."""
        return self._grammar.allowed(self._matcher)

    def take(self, token: int, base: Base) -> str | None:
        """Write a token; the text once the line is whole."""
        if not self._matcher.consume_token(token):
            raise ExportError(
                f"the tokenizer of {base.name} cannot write the syntax of actions: llguidance reads its "
                "tokens otherwise than it decodes them"
            )
        self._written.append(token)
        text = str(base.tokenizer.decode(self._written))
        return text.strip() if text.endswith("\n") else None
