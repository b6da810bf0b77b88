"""The registry of encoders: MLflow tracks retrains and holds the versions of `simpersona-encoder`.

A version is a sealed bundle, and beside it what a retrain needs of its predecessor: the torch weights
(state.pt, for the warm start) and the map from the predecessor's codes (alignment.json). The alias
`champion` is what workers answer with, `candidate` what is to replace it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from inference.bundles.bundle import Bundle, load_bundle
from inference.bundles.publish import place_bundle
from inference.errors import BundleError
from training.lifecycle.versions import Version, Versions

MODEL_NAME: Final = "simpersona-encoder"
STATE: Final = "state.pt"
ALIGNMENT: Final = "alignment.json"


class Registry(Versions):
    """Versions of the encoder. Every method may raise RegistryError: MLflow failed, and how."""

    def __init__(self, folder: Path, uri: str | None = None) -> None:
        """Open the MLflow server `uri`, or the SQLite file under `folder`, making it at the first call."""
        super().__init__(MODEL_NAME, "bundle", folder, uri)

    def register(
        self,
        bundle: Bundle,
        *,
        extras: Mapping[str, Path],
        figures: Mapping[str, float],
        tags: Mapping[str, str],
    ) -> Version:
        """Add a version: upload the bundle and the extra files (by name), then register them.

        A bundle that is registered already is not added again: its version comes back. A kill leaves
        at most a run without a version, which nothing reads.
        """
        for known in self.versions():
            if known.codebook_version == bundle.codebook_version:
                return known
        return self._add(
            bundle.codebook_version,
            bundle.folder,
            bundle.codebook_version,
            extras=extras,
            figures=figures,
            tags=tags,
        )

    def lay_down(self, version: Version, folder: Path) -> Bundle:
        """Bring a version's bundle to folder/<codebook version>, whole or not at all, and check it.

        Raises:
            BundleError: a file was changed, in the registry or in the folder.
        """
        target = folder.resolve() / version.codebook_version
        if target.exists():
            return load_bundle(target)
        with self._registry_errors():
            target.parent.mkdir(parents=True, exist_ok=True)
        with self._registry_errors(), self._staging(target.parent) as staging:
            fetched = self._download(version, self._artifact, staging)
            bundle = load_bundle(fetched)
            if bundle.codebook_version != version.codebook_version:
                raise BundleError(
                    f"version {version.number} holds the codebook {bundle.codebook_version!r}, "
                    f"the registry says {version.codebook_version!r}"
                )
            fetched.chmod(0o755)  # a worker may run as another user
            return place_bundle(fetched, target)
