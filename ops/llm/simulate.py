"""A population of agents for a store: tokens drawn from its mix, one agent per token."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np

from feature_store.contract.events import Event
from feature_store.settings import HomeSettings
from inference.bundles.bundle import Bundle
from inference.bundles.catalogue import Catalogue
from inference.population import Mix, draw_codes, store_mix
from ops.store_mix import mix_of
from training.errors import ExportError
from training.lifecycle.mlflow_client import RegistrySettings
from training.lifecycle.registry import Registry
from training.persona_llm.agents.agents import Run, Shopper, simulate
from training.persona_llm.agents.chat import Chat
from training.persona_llm.agents.chat_agent import play_by_chat, profiles_of
from training.persona_llm.agents.population import (
    DAY_MS,
    GoalName,
    Visit,
    describe_runs,
    events_in_order,
    played,
    shoppers,
    visits,
)
from training.persona_llm.lifecycle.versions import translation
from training.persona_llm.model.folder import PersonaLlm
from training.persona_llm.storefront.store_model import StoreModel

MixSource = Literal["traces", "reference", "live"]
"""Where p_s(k) is from: the model's training buyers; a bundle's training buyers; what workers counted."""
Play = Callable[[Sequence[Shopper], int], list[Run]]
"""(shoppers, seed) -> their runs, in order."""


class Asked(NamedTuple):
    """What was asked for: agents of `store`, n of them, with a goal; as_store: the name they shop under;
    temperature and guidance: how they draw (agents.simulate)."""

    store: str
    n: int
    seed: int
    goal: GoalName = "neutral"
    source: MixSource = "traces"
    as_store: str | None = None
    temperature: float = 1.0
    guidance: float = 1.0


def mix_for(model: PersonaLlm, bundle: Bundle, asked: Asked) -> tuple[Mix, dict[str, Any] | None]:
    """The store's mix in the model's own codes, and how it was mapped (None: it was not).

    Raises:
        CodebookError: the bundle's codes are of another version, and nothing maps them.
        ProfileError, SamplingError, OnlineStoreError: see mix_of.
    """
    if asked.source == "traces":
        counts = {store: np.array(it) for store, it in model.manifest.code_counts.items()}
        return store_mix(counts[asked.store], np.sum(list(counts.values()), axis=0)), None
    mix = mix_of(bundle, asked.store, asked.source)
    if bundle.codebook_version == model.manifest.codebook_version:
        return mix, None
    registry = Registry(HomeSettings().home / "registry", RegistrySettings().mlflow_tracking_uri)
    way = translation(registry, bundle.codebook_version, model.manifest.codebook_version)
    mapped = {"from": way.source, "to": way.target, "lost_share": round(way.lost(mix), 4)}
    return way.mix(mix), mapped


def own_agents(model: PersonaLlm, asked: Asked) -> Play:
    """Agents of the model itself."""
    return lambda crowd, seed: simulate(
        model.base,
        model.stores,
        crowd,
        seed=seed,
        temperature=asked.temperature,
        guidance=asked.guidance,
    )


def external_agents(chat: Chat, model: PersonaLlm, catalogue: Catalogue) -> Play:
    """An external model in the agents' place; its instructions give the type of each code in words."""
    return lambda crowd, seed: play_by_chat(chat, model.stores, crowd, profiles_of(catalogue), seed)


def populate(
    model: PersonaLlm,
    bundle: Bundle,
    asked: Asked,
    play: Play,
    done: Callable[[int], object],
) -> tuple[list[Visit], dict[str, Any]]:
    """Draw, let them shop, and describe; visits are in the order in which the tokens were drawn.

    Raises:
        ExportError: the model does not know the store, or cannot start a session.
        CodebookError, SamplingError: see mix_for.
    """
    model.store(asked.store)
    if model.config.kind == "early":
        raise ExportError(
            f"{model.folder} writes what follows a session's first events; to simulate whole sessions train "
            "one with --kind before or after"
        )
    mix, mapped = mix_for(model, bundle, asked)
    crowd = shoppers(draw_codes(mix, asked.n, asked.seed), asked.store, asked.goal, asked.seed)
    runs = played(crowd, play, asked.seed, done)
    made = datetime.datetime.fromisoformat(model.manifest.created_at)
    came = visits(
        runs,
        seed=asked.seed,
        # A day's margin: no session reaches into the future, which the live path would refuse.
        ends=int(made.timestamp() * 1000) - DAY_MS,
        salt=f"{model.manifest.model_version}|{asked.store}",
    )
    about = {
        **asked._asdict(),
        "model_version": model.manifest.model_version,
        "codebook_version": model.manifest.codebook_version,
        "kind": model.config.kind,
        "mapped": mapped,
        "mix": mix.note,
        **describe_runs(runs),
    }
    return came, about


def as_events(came: list[Visit], store: StoreModel, name: str | None) -> list[Event]:
    """The visits as events of the contract, under another store's name where one is given."""
    events = events_in_order(came, store.currency)
    return events if name is None else [msgspec.structs.replace(event, store=name) for event in events]
