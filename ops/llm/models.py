"""Which persona LLM is in use: versions in the registry, the champion among them, promotion and rollback."""

from __future__ import annotations

import datetime
import getpass
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import structlog

from feature_store.settings import HomeSettings
from ops.errors import ChampionChangedError, ModelsError
from ops.models import Forced
from ops.one_at_a_time import sole_holder
from training.lifecycle.gates import Verdict
from training.lifecycle.mlflow_client import RegistrySettings
from training.lifecycle.registry import Registry
from training.lifecycle.versions import Version
from training.persona_llm.lifecycle.gate_settings import LlmGateSettings
from training.persona_llm.lifecycle.gates import (
    LlmFigures,
    gate_traces,
    judge,
    measure,
    require_sides,
    with_codes,
)
from training.persona_llm.lifecycle.registry import LlmRegistry
from training.persona_llm.lifecycle.versions import translation
from training.persona_llm.model.folder import PersonaLlm, load_llm
from training.persona_llm.traces.traces import load_traces

log = structlog.get_logger()

_REPLACED: Final = "replaced"


class LlmModels:
    """The versions of the persona LLM in an installation."""

    def __init__(self, registry: LlmRegistry, encoders: Registry, home: Path) -> None:
        """encoders: where the alignments between codebooks are; home: under which models are laid down."""
        self.registry, self.encoders, self._home = registry, encoders, home.resolve()

    def champion(self) -> Version | None:
        """The version in use; None before the first promotion."""
        return self.registry.holder("champion")

    def find(self, name: str) -> Version:
        """A version by number, model version, codebook or alias; a model's folder is registered first.

        Raises:
            RegistryError, ExportError: there is none, or the folder is no persona LLM.
        """
        if Path(name).is_dir():
            return self.registry.register(Path(name), figures={}, tags={"origin": "a folder"})
        return self.registry.version(name)

    def load(self, version: Version) -> PersonaLlm:
        """Bring a version's model here and load it."""
        return self.registry.lay_down(version, self._home / "llm")

    def compare(
        self, candidate: PersonaLlm, champion: PersonaLlm | None, prepared: Path, seed: int
    ) -> tuple[LlmFigures | None, LlmFigures]:
        """Measure both on the same test sessions of a folder of traces, in the candidate's stores.

        Each gets tokens of its own kind, mapped through the alignment where it speaks another codebook than
        the traces. Sessions have a token of both kinds.

        Raises:
            DatasetError: the folder holds no traces.
            GateError: there is no test session, or a model may have learned from one.
            CodebookError: nothing maps the tokens.
        """
        traces, about = load_traces(prepared)
        models = [candidate] if champion is None else [candidate, champion]
        for model in models:
            require_sides(model.manifest, about["split_seed"])
        known = [trace for trace in traces if trace.store in candidate.stores]
        chosen = gate_traces(known, {model.config.kind for model in models}, LlmGateSettings(), seed)

        def measured(model: PersonaLlm) -> LlmFigures:
            kind = model.config.kind
            way = translation(self.encoders, about["codebook_version"], model.manifest.codebook_version)
            shown = with_codes(chosen, kind, way.codes)
            return measure(model.base, candidate.stores, shown, kind, seed)

        return (None if champion is None else measured(champion)), measured(candidate)

    def promote(self, version: Version, forced: Forced | None = None, *, over: Version | None) -> None:
        """Make a version the one in use.

        Raises:
            ChampionChangedError: `over`, None for no champion, is not the champion any more.
            ModelsError: the home cannot be written.
        """
        with self._moving():
            champion = self.champion()
            held, expected = champion and champion.number, over and over.number
            if held == version.number:
                return
            if held != expected:
                raise ChampionChangedError(
                    f"the persona LLM in use is version {held} now, not {expected}: compare with that one"
                )
            tags = {"promoted": _now()} | ({_REPLACED: str(held)} if held else {})
            if forced is not None:
                who = f"{getpass.getuser()}@{socket.gethostname()}"
                tags["forced"] = f"{who}, {_now()}: {forced.reason}; against: {forced.refusal}"
            self.registry.tag(version.number, tags)
            self.registry.give("champion", version.number)
            if "candidate" in self.registry.version(version.number).aliases:
                self.registry.take("candidate")

    def rollback(self) -> tuple[Version, Version]:
        """Make the champion's predecessor champion again; returns (from, to).

        Raises:
            ModelsError: there is no champion, it replaced none, or the home cannot be written.
        """
        with self._moving():
            champion = self.champion()
            if champion is None or _REPLACED not in champion.tags:
                raise ModelsError(
                    "the persona LLM in use replaced no other: there is nothing to roll back to"
                )
            before = self.registry.version(champion.tags[_REPLACED])
            self.registry.tag(champion.number, {"rolled_back": _now()})
            self.registry.give("champion", before.number)
            return champion, self.registry.version(before.number)

    @contextmanager
    def _moving(self) -> Iterator[None]:
        lock = self._home / "llm" / ".moving"
        try:
            with sole_holder(lock, "a promotion of a persona LLM"):
                yield
        except OSError as error:
            raise ModelsError(f"{lock.parent} cannot be written: {error.strerror or error}") from error


def verdicts_on(figures: tuple[LlmFigures | None, LlmFigures]) -> list[Verdict]:
    """The gates, by the settings' bounds, on what `compare` found."""
    champion, candidate = figures
    return judge(champion, candidate, LlmGateSettings())


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def open_llm_models() -> LlmModels:
    """The installation that the environment names.

    Raises:
        RegistryError: MLflow cannot be used.
    """
    home, uri = HomeSettings().home, RegistrySettings().mlflow_tracking_uri
    return LlmModels(LlmRegistry(home / "registry", uri), Registry(home / "registry", uri), home)


def open_llm(name: str) -> PersonaLlm:
    """A model's folder, or a version as the registry calls it.

    Raises:
        RegistryError, ExportError: there is none, or it is no persona LLM.
    """
    if Path(name).exists():
        return load_llm(Path(name))
    models = open_llm_models()
    return models.load(models.registry.version(name))
