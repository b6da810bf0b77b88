"""The versions of a registered model in MLflow: list them, move aliases between them, bring files back."""

from __future__ import annotations

import datetime
import math
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import structlog

from training.errors import RegistryError
from training.lifecycle.mlflow_client import open_mlflow, registry_errors

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

log = structlog.get_logger()

Alias = Literal["champion", "candidate"]
_ALIASES: Final[tuple[Alias, ...]] = ("champion", "candidate")
_EXTRAS: Final = "training"


class Version(NamedTuple):
    """A registered version: its number, its codes' name, when it was registered (RFC 3339 UTC), its
    aliases, its tags, and the figures of its run."""

    number: int
    codebook_version: str
    created_at: str
    aliases: tuple[str, ...]
    tags: dict[str, str]
    figures: dict[str, float]
    run: str


class Versions:
    """Versions and aliases of one model. Every method may raise RegistryError: MLflow failed, and how.

    A version is a folder, its artifact, and extra files beside it.
    """

    def __init__(self, model: str, artifact: str, folder: Path, uri: str | None = None) -> None:
        """Open the MLflow server `uri`, or the SQLite file under `folder`, making it at the first call."""
        self._model, self._artifact = model, artifact
        self._where = uri or str(folder)
        self._client, artifacts = open_mlflow(folder.resolve(), uri)
        with self._registry_errors():
            found = self._client.get_experiment_by_name(model)
            self._experiment = (
                found.experiment_id
                if found
                else self._client.create_experiment(model, artifact_location=artifacts)
            )
            if not self._client.search_registered_models(f"name = '{model}'"):
                self._client.create_registered_model(model)

    def versions(self) -> list[Version]:
        """Every version, the newest first."""
        with self._registry_errors():
            aliases = self._client.get_registered_model(self._model).aliases
            found = self._client.search_model_versions(
                f"name = '{self._model}'", max_results=10_000, order_by=["version_number DESC"]
            )
            return [self._version(it, aliases) for it in found]

    def version(self, name: int | str) -> Version:
        """One version, the newest, by its number, its codebook version or its alias.

        Raises:
            RegistryError: there is none.
        """
        versions = self.versions()
        for version in versions:
            if str(name) in self._names(version):
                return version
        known = ", ".join(str(version.number) for version in versions) or "none"
        raise RegistryError(f"the registry has no version {name} (it has: {known})")

    def holder(self, alias: Alias) -> Version | None:
        """The version that bears an alias."""
        return next((version for version in self.versions() if alias in version.aliases), None)

    def give(self, alias: Alias, number: int) -> None:
        """Move an alias to a version, from whichever had it."""
        with self._registry_errors():
            self._client.set_registered_model_alias(self._model, alias, str(number))
        log.info("alias_moved", alias=alias, version=number)

    def take(self, alias: Alias) -> None:
        """Let no version bear an alias."""
        with self._registry_errors():
            self._client.delete_registered_model_alias(self._model, alias)

    def tag(self, number: int, tags: Mapping[str, str]) -> None:
        """Write tags on a version."""
        with self._registry_errors():
            for name, value in tags.items():
                self._client.set_model_version_tag(self._model, str(number), name, value)

    def measured(self, version: Version, figures: Mapping[str, float]) -> None:
        """Write figures of a version; a figure that is NaN is left out."""
        with self._registry_errors():
            self._measured(version.run, figures)

    @contextmanager
    def extra(self, version: Version, name: str) -> Iterator[Path | None]:
        """A file that was registered beside a bundle, for as long as the block lasts; None: it has none."""
        with self._registry_errors():
            names = {Path(it.path).name for it in self._client.list_artifacts(version.run, _EXTRAS)}
        if name not in names:
            yield None
            return
        with self._staging(None) as staging:
            yield self._download(version, f"{_EXTRAS}/{name}", staging)

    def _add(
        self,
        name: str,
        folder: Path,
        codebook_version: str,
        *,
        extras: Mapping[str, Path],
        figures: Mapping[str, float],
        tags: Mapping[str, str],
        describe: Callable[[str], None] = lambda run: None,
    ) -> Version:
        """Upload the folder and the extra files, then register them as a version.

        describe: writes more about the run. A kill leaves at most a run without a version, which nothing
        reads.
        """
        with self._registry_errors():
            run = self._client.create_run(self._experiment, run_name=name, tags=dict(tags)).info
            self._client.log_artifacts(run.run_id, str(folder), self._artifact)
            for path in extras.values():
                self._client.log_artifact(run.run_id, str(path), _EXTRAS)
            describe(run.run_id)
            self._client.set_terminated(run.run_id, "FINISHED")
            made = self._client.create_model_version(
                self._model,
                f"{run.artifact_uri}/{self._artifact}",
                run.run_id,
                tags={**tags, "codebook_version": codebook_version},
            )
            self._measured(run.run_id, figures)
        log.info(
            "version_registered", model=self._model, version=int(made.version), codebook=codebook_version
        )
        return self.version(int(made.version))

    def _names(self, version: Version) -> tuple[str, ...]:
        """What a version answers to."""
        return (str(version.number), version.codebook_version, *version.aliases)

    def _measured(self, run: str, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            if not math.isnan(value):
                self._client.log_metric(run, name, value)

    def _download(self, version: Version, path: str, folder: Path) -> Path:
        with self._registry_errors(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Path(self._client.download_artifacts(version.run, path, str(folder)))

    @contextmanager
    def _staging(self, beside: Path | None) -> Iterator[Path]:
        with self._registry_errors():
            staging = Path(tempfile.mkdtemp(prefix=".fetched-", dir=beside))
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _version(self, found: ModelVersion, aliases: Mapping[str, Any]) -> Version:
        created = datetime.datetime.fromtimestamp(found.creation_timestamp / 1000, datetime.UTC)
        run = self._client.get_run(str(found.run_id))
        return Version(
            number=int(found.version),
            codebook_version=found.tags["codebook_version"],
            created_at=created.isoformat(timespec="seconds"),
            aliases=tuple(alias for alias in _ALIASES if str(aliases.get(alias)) == str(found.version)),
            tags={name: value for name, value in found.tags.items() if name != "codebook_version"},
            figures=dict(run.data.metrics),
            run=str(found.run_id),
        )

    def _registry_errors(self) -> Any:
        return registry_errors(self._where)
