"""What a store is to an agent: its catalogue, the links that shoppers used, how long they stayed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Self

import msgspec
import numpy as np

from feature_store.workspace import write_whole
from training.errors import DatasetError
from training.persona_llm.storefront.actions import ADD, LEAVE, PRODUCTS, REMOVE, Item, Step

ENTRANCE: Final = "entrance"
"""The page before the first action."""
MIN_USES: Final = 2
"""A link that fewer shoppers than these took is no link: one may be a recording error."""
_MAX_DWELLS: Final = 200
_UNNAMED: Final = Item(None, None, None, None)


def page_after(page: str, action: str) -> str:
    """The page an action leads to; adding and removing stay where they are."""
    return page if action in (ADD, REMOVE) else "product" if action in PRODUCTS else action


class StoreModel(msgspec.Struct, frozen=True, kw_only=True):
    """A store, learned from sessions of training buyers.

    items and views: the catalogue and how often each item was opened (most often first). links: page ->
    the actions taken there. dwells: action -> observed stays in ms. currency: ISO 4217 or None.
    """

    store: str
    items: list[Item]
    views: list[int]
    links: dict[str, list[str]]
    dwells: dict[str, list[int]]
    currency: str | None = None

    @classmethod
    def learn(
        cls, store: str, sessions: Iterable[Sequence[Step]], *, seed: int, currency: str | None = None
    ) -> Self:
        """Learn a store from its training sessions.

        Raises:
            DatasetError: there is no session, so nothing is known of the store.
        """
        views: Counter[Item] = Counter()
        uses: dict[str, Counter[str]] = defaultdict(Counter)
        dwells: dict[str, list[int]] = defaultdict(list)
        count = 0
        for steps in sessions:
            count += 1
            page = ENTRANCE
            for step in steps:
                uses[page][step.action] += 1
                page = page_after(page, step.action)
                if step.action in PRODUCTS:
                    views[step.item or _UNNAMED] += 1
                if step.dwell_ms:
                    dwells[step.action].append(step.dwell_ms)
        if not count:
            raise DatasetError(f"store {store} has no training session; give events of it")
        random = np.random.default_rng(seed)
        catalogue = views.most_common()
        return cls(
            store=store,
            items=[item for item, _ in catalogue] or [_UNNAMED],
            views=[number for _, number in catalogue] or [1],
            links={page: _common(taken) for page, taken in sorted(uses.items())},
            dwells={action: _sample(stays, random) for action, stays in sorted(dwells.items())},
            currency=currency,
        )

    def allows(self, page: str, action: str) -> bool:
        """Whether the page has the link. Anyone may leave from anywhere."""
        return action == LEAVE or action in self.links.get(page, ())

    def offers(self, action: str) -> bool:
        """Whether some page that can be reached from the entrance links to the action."""
        reached, ahead = {ENTRANCE}, [ENTRANCE]
        while ahead:
            page = ahead.pop()
            if self.allows(page, action):
                return True
            following = {page_after(page, link) for link in self.links.get(page, ())} - reached
            reached |= following
            ahead += following
        return False


def _common(taken: Counter[str]) -> list[str]:
    # A page seen by hardly anyone keeps its commonest link, so that no page is a dead end.
    kept = {action for action, uses in taken.items() if uses >= MIN_USES} or {taken.most_common(1)[0][0]}
    return sorted(kept)


def _sample(stays: list[int], random: np.random.Generator) -> list[int]:
    if len(stays) > _MAX_DWELLS:
        stays = random.choice(stays, _MAX_DWELLS, replace=False).tolist()
    return sorted(stays)


def save_stores(models: Iterable[StoreModel], path: Path) -> None:
    """Write store models as JSON, whole or not at all."""
    write_whole(path, msgspec.json.encode(list(models)) + b"\n")


def load_stores(path: Path) -> dict[str, StoreModel]:
    """Read what save_stores wrote, by store.

    Raises:
        DatasetError: the file is missing or is no list of store models.
    """
    try:
        models = msgspec.json.decode(path.read_bytes(), type=list[StoreModel])
    except (OSError, msgspec.MsgspecError) as error:
        raise DatasetError(f"{path} holds no store models ({error}); make it by llm prepare") from error
    return {model.store: model for model in models}
