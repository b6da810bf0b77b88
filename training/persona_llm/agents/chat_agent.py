"""An external language model plays the storefront: it reads each page and writes the next action."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from inference.bundles.catalogue import Catalogue
from training.persona_llm.agents.agents import Agent, Run, Shopper
from training.persona_llm.agents.chat import Chat
from training.persona_llm.storefront.actions import ACTIONS
from training.persona_llm.storefront.store_model import StoreModel
from training.persona_llm.storefront.storefront import parse_action

_RULES: Final = (
    "You are a shopper in an online shop. You see a page and the actions that it offers, one a line after a "
    "dash. Answer with exactly one of these actions and nothing else; `leave` ends your visit."
)
_REMEMBERED: Final = 10
"""The last pages and answers that are sent along: a page says all that the shop knows of a visit."""


def play_by_chat(
    chat: Chat,
    stores: Mapping[str, StoreModel],
    crowd: Sequence[Shopper],
    profiles: Mapping[int, str],
    seed: int,
) -> list[Run]:
    """Let the model behind `chat` shop as each shopper, one after the other; runs in the order of the crowd.

    profiles: code -> who such a shopper is, in words; a code without one shops without. Every run ends as an
    agent's of ours does; an answer that is no action counts as refused.

    Raises:
        ChatError: the server does not answer; nothing is kept.
    """
    runs = []
    for number, shopper in enumerate(crowd):
        agent = Agent(shopper, stores[shopper.store], seed, number)
        messages = [("system", _instruction(shopper, profiles))]
        while agent.end is None:
            messages.append(("user", agent.page))
            answer = chat.answer(
                [messages[0], *messages[1:][-_REMEMBERED:]], seed=seed + number, temperature=1.0
            )
            messages.append(("assistant", answer))
            action = parse_action(answer)
            if action is None:
                agent.misread()
            else:
                agent.act(ACTIONS[action])
        runs.append(agent.run())
    return runs


def profiles_of(catalogue: Catalogue) -> dict[int, str]:
    """What a bundle says of the type of each code: title and description."""
    return {
        code: f"{kind.title or kind.name}. {kind.description}".strip()
        for kind in catalogue.types
        for code in kind.codes
    }


def _instruction(shopper: Shopper, profiles: Mapping[int, str]) -> str:
    who = profiles.get(shopper.code)
    return "\n".join([_RULES, *([f"You are this kind of shopper: {who}"] if who else []), shopper.goal.text])
