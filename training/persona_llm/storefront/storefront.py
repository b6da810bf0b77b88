"""A store as an environment: pages as short text, actions that a shopper has, errors as a page would give.

Any agent can shop here: ours, a scripted one, an external model that reads the page and writes an action.
"""

from __future__ import annotations

import string
from typing import Any, Final, NamedTuple

import gymnasium
import numpy as np

from training.persona_llm.storefront.actions import (
    ACTIONS,
    ADD,
    BACK,
    FIRST,
    LEAVE,
    LIKE,
    NUMBER,
    OTHER,
    PRODUCTS,
    PURCHASE,
    REMOVE,
    SAME,
    Item,
    Step,
)
from training.persona_llm.storefront.store_model import ENTRANCE, StoreModel, page_after

ENVIRONMENT: Final = "simpersona/Storefront-v0"
STEP_LIMIT: Final = 60
"""Of 1,000 real sessions fewer than two are longer."""
_CHARACTERS: Final = string.ascii_letters + string.digits + string.punctuation + " \n"
_MAX_PAGE: Final = 4_000


class Goal(NamedTuple):
    """What an agent is asked to do: text, and the action that fulfils it (None: no task)."""

    text: str
    fulfilled_by: str | None


class Storefront(gymnasium.Env[str, np.int64]):
    """One store. Observation: the page, ASCII text; action: a number of actions.ACTIONS.

    reset(seed=..., options={"goal": Goal}). The same seed and actions give the same pages. A step's reward
    is 1 where it fulfils the goal for the first time, else 0; it terminates when the shopper leaves and is
    truncated after STEP_LIMIT steps. info: "error" (None, or what the page says to an action that it does
    not have; nothing else changes then), "step" (the Step that was done, None after an error).
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012, as gymnasium has it

    _fulfilled: bool
    _steps: int

    def __init__(self, model: StoreModel, render_mode: str | None = None) -> None:
        self.model, self.render_mode = model, render_mode
        self.action_space = gymnasium.spaces.Discrete(len(ACTIONS))
        self.observation_space = gymnasium.spaces.Text(_MAX_PAGE, min_length=1, charset=_CHARACTERS)
        weights = np.array(model.views, dtype=np.float64)
        self._weights = weights / weights.sum()
        self._categories = np.array([str(item.category) for item in model.items])
        self._start(None)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """A new shopper at the entrance."""
        super().reset(seed=seed)
        self._start((options or {}).get("goal"))
        return self._page_text(), {"error": None, "step": None}

    def step(self, action: np.int64) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Do an action, or be told why the page cannot."""
        name = ACTIONS[int(action)]
        self._steps += 1
        truncated = self._steps >= STEP_LIMIT
        if error := self._refusal(name):
            return self._page_text(error), 0.0, False, truncated, {"error": error, "step": None}
        done = self._do(name)
        fulfilled = self._goal is not None and name == self._goal.fulfilled_by and not self._fulfilled
        if fulfilled:
            self._fulfilled = True
        info = {"error": None, "step": done}
        return self._page_text(), float(fulfilled), name == LEAVE, truncated, info

    def render(self) -> str:
        """The page as text."""
        return self._page_text()

    def valid_actions(self) -> list[str]:
        """The actions that the present page has."""
        return [action for action in ACTIONS if self._refusal(action) is None]

    # ---- the shopper's state

    def _start(self, goal: Goal | None) -> None:
        self._goal = goal
        self._fulfilled = False
        self._page = ENTRANCE
        self._steps = 0
        self._opened: list[int] = []  # places in the catalogue
        self._cart: list[int] = []
        self._offers: dict[str, int] = {}
        self._offer()

    def _offer(self) -> None:
        """Draw the items behind the links of the next page: popular ones are offered more often."""
        last = self._opened[-1] if self._opened else None
        unseen = np.ones(len(self._weights), dtype=np.bool_)
        unseen[self._opened] = False
        self._offers = {}
        if last is None:
            self._draw(FIRST, unseen)
            return
        self._offers[SAME] = last
        earlier = [place for place in self._opened if place != last]
        if earlier:
            self._offers[BACK] = earlier[int(self.np_random.integers(len(earlier)))]
        alike = self._categories == self._categories[last]
        # A catalogue without ids has one entry for everything: opening another of it is opening it again.
        self._draw(LIKE, alike & (unseen | self._is_unnamed(last)))
        self._draw(OTHER, ~alike & unseen)

    def _is_unnamed(self, place: int) -> bool:
        return self.model.items[place].product_id is None

    def _draw(self, relation: str, among: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
        weights = np.where(among, self._weights, 0.0)
        if (total := weights.sum()) > 0:
            self._offers[relation] = int(self.np_random.choice(len(weights), p=weights / total))

    def _refusal(self, action: str) -> str | None:
        """Why the present page cannot do it, or None."""
        if action == LEAVE:
            return None
        if action in PRODUCTS and action not in self._offers:
            return f"There is no such product here: {action.removeprefix('product ')}."
        if action == REMOVE and not self._cart:
            return "The cart is empty."
        if not self.model.allows(self._page, action):
            return f"This page has no link to {action}."
        return None

    def _do(self, action: str) -> Step:
        place: int | None = None
        if action in PRODUCTS:
            place = self._offers[action]
            self._opened.append(place)
        elif action == ADD:
            place = self._opened[-1] if self._opened else self._offers[FIRST]
            self._cart.append(place)
        elif action == REMOVE:
            place = self._cart.pop()
        elif action == PURCHASE:
            # Shops that sell without a cart sell what is open; a cart of an earlier visit is not known here.
            place = self._cart[-1] if self._cart else self._opened[-1] if self._opened else None
            self._cart = []
        self._page = page_after(self._page, action)
        if action != LEAVE:
            self._offer()
        item = None if place is None else self.model.items[place]
        return Step(action, item, None, self._dwell(action))

    def _dwell(self, action: str) -> int:
        stays = self.model.dwells.get(action)
        return int(self.np_random.choice(stays)) if stays else 0

    # ---- the page as text

    def _page_text(self, error: str | None = None) -> str:
        lines = [f"store: {self.model.store}"]
        if self._goal is not None:
            lines.append(f"goal: {self._goal.text}")
        if error:
            lines.append(f"error: {error}")
        title = self._page
        if self._page == "product":
            title = f"product {describe(self.model.items[self._opened[-1]])}"
        lines += [f"page: {title}", f"cart: {len(self._cart)}"]
        for action in self.valid_actions():
            lines.append(f"- {action}{self._behind(action)}")
        return _ascii("\n".join(lines))[:_MAX_PAGE]

    def _behind(self, action: str) -> str:
        return f": {describe(self.model.items[self._offers[action]])}" if action in self._offers else ""


def describe(item: Item) -> str:
    """An item in a line: id, then category, brand and price where they are known."""
    about = [str(part) for part in (item.category, item.brand) if part]
    if item.price is not None:
        about.append(f"{item.price:.2f}")
    return f"{item.product_id or 'unnamed'}" + (f" ({', '.join(about)})" if about else "")


def parse_action(text: str) -> int | None:
    """The number of an action written as text (one line, any case, a leading dash allowed), or None."""
    return NUMBER.get(" ".join(text.strip().lower().lstrip("- ").partition(":")[0].split()))


def _ascii(text: str) -> str:
    return "".join(c if c in _CHARACTERS else "?" for c in text)


gymnasium.register(ENVIRONMENT, entry_point="training.persona_llm.storefront.storefront:Storefront")
