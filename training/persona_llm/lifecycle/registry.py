"""The registry of persona LLMs, in the same MLflow as the encoder's: `simpersona-persona-llm`.

Every training is tracked as a run with its settings, losses and lineage. A version is a model folder; the
alias `champion` is the model in use.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from training.errors import ExportError
from training.lifecycle.versions import Version, Versions
from training.persona_llm.model.folder import LlmManifest, PersonaLlm, load_llm, read_manifest

MODEL_NAME: Final = "simpersona-persona-llm"


class LlmRegistry(Versions):
    """Versions of the persona LLM. Every method may raise RegistryError: MLflow failed, and how."""

    def __init__(self, folder: Path, uri: str | None = None) -> None:
        """Open the MLflow server `uri`, or the SQLite file under `folder`, making it at the first call."""
        super().__init__(MODEL_NAME, "model", folder, uri)

    def track(self, manifest: LlmManifest) -> None:
        """Keep what a training run was: its settings, its losses by epoch, and what it learned from."""
        with self._registry_errors():
            run = self._client.create_run(
                self._experiment, run_name=manifest.model_version, tags=lineage(manifest)
            ).info.run_id
            self._tracked(run, manifest)
            self._client.set_terminated(run, "FINISHED")

    def register(
        self, folder: Path, *, figures: Mapping[str, float], tags: Mapping[str, str] | None = None
    ) -> Version:
        """Add a model folder as a version; one that is registered already comes back as it is.

        Raises:
            ExportError: it is no folder of a persona LLM.
        """
        manifest = read_manifest(folder)
        for known in self.versions():
            if known.tags["model_version"] == manifest.model_version:
                return known
        return self._add(
            manifest.model_version,
            folder,
            manifest.codebook_version,
            extras={},
            figures=figures,
            tags=lineage(manifest) | dict(tags or {}),
            describe=lambda run: self._tracked(run, manifest),
        )

    def lay_down(self, version: Version, folder: Path) -> PersonaLlm:
        """Bring a version's model to folder/<model version>, whole or not at all, and check it.

        Raises:
            ExportError: a file was changed, in the registry or in the folder.
        """
        target = folder.resolve() / version.tags["model_version"]
        if not target.exists():
            with self._registry_errors():
                target.parent.mkdir(parents=True, exist_ok=True)
            with self._registry_errors(), self._staging(target.parent) as staging:
                fetched = self._download(version, self._artifact, staging)
                shutil.move(fetched, target)
        model = load_llm(target)
        if model.manifest.model_version != version.tags["model_version"]:
            raise ExportError(f"{target} is the model {model.manifest.model_version}; remove that folder")
        return model

    def _tracked(self, run: str, manifest: LlmManifest) -> None:
        for name, value in manifest.config.items():
            self._client.log_param(run, name, value)
        for epoch, loss in enumerate(manifest.losses):
            self._client.log_metric(run, "validation_loss", loss, step=epoch)
        self._client.log_metric(run, "seconds", manifest.seconds)

    def _names(self, version: Version) -> tuple[str, ...]:
        return (*super()._names(version), version.tags["model_version"])


def lineage(manifest: LlmManifest) -> dict[str, str]:
    """What a model comes from, as tags."""
    return {
        "model_version": manifest.model_version,
        "codebook_version": manifest.codebook_version,
        "encoder_sha256": manifest.encoder_sha256,
        "traces_sha256": manifest.traces_sha256,
        "sources": "; ".join(manifest.sources)[:5_000],  # MLflow's limit of a tag
        "created_at": manifest.created_at,
    }
