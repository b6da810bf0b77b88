"""A bundle: a published encoder. Its folder is checked in full before it encodes anything.

manifest.json    versions, origin and the SHA-256 of every other file
model.onnx       raw vectors -> code, distance, margin, type, confidence, forecast, its probability, latent
catalogue.json   the codes, and the types that group them
reference.json   the profile of its training data, for drift
evaluation.json  its quality on held-out buyers
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from feature_store.contract.names import Name
from feature_store.fold.vector import FEATURE_VERSION, FEATURE_WIDTHS, VECTOR_SIZE
from inference.bundles.catalogue import Catalogue, types_by_fact
from inference.encoders.encoder import Encoding
from inference.encoders.graph import CODES, LAYOUTS, first_line, layout_of, open_graph, run_graph
from inference.errors import BundleError

MANIFEST: Final = "manifest.json"
MODEL: Final = "model.onnx"
CATALOGUE: Final = "catalogue.json"
FILES: Final = (MODEL, CATALOGUE, "reference.json", "evaluation.json")

T = TypeVar("T")

Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """manifest.json: versions, sizes, origin and the SHA-256 (hex) of each file.

    bundle_version is the version of the folder's layout. codebook_version names the published codes.
    created_at is RFC 3339 UTC. command, seed and sources are what the bundle was made with. stores: those
    that the forecast was learned on, sorted; None in a bundle from before they were written down.
    """

    bundle_version: Literal[1] = 1
    codebook_version: Name
    feature_version: int = FEATURE_VERSION
    created_at: str
    codes: Literal[256] = 256
    latent_size: Literal[96] = 96
    vector_size: int = VECTOR_SIZE
    files: dict[str, Digest]
    sources: list[str]
    seed: int
    command: str
    stores: list[Name] | None = None


Finisher = Callable[[Encoding, NDArray[np.float32]], Encoding]
"""Of what a graph says of raw vectors float32 [n, W], and those."""


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """A checked bundle. model is the content of model.onnx; probe_codes are its codes for PROBE_VECTORS."""

    folder: Path
    manifest: Manifest
    catalogue: Catalogue
    model: bytes
    probe_codes: tuple[int, ...]

    @property
    def codebook_version(self) -> str:
        """The name of its codebook."""
        return self.manifest.codebook_version

    @property
    def types(self) -> tuple[str, ...]:
        """Names by type index; empty if it has no types."""
        return tuple(kind.name for kind in self.catalogue.types)

    @property
    def stores(self) -> frozenset[str]:
        """Stores that the forecast was learned on."""
        return frozenset(self.manifest.stores or ())

    def finisher(self) -> Finisher:
        """Puts the type that holds now into what the graph says; a graph of version 2 gives it itself."""
        if self.manifest.feature_version > 1:
            return lambda encoding, vectors: encoding
        return types_by_fact(self.catalogue).apply

    def summary(self) -> dict[str, Any]:
        """Manifest, folder, size and types, ready for JSON."""
        about: dict[str, Any] = msgspec.to_builtins(self.manifest)
        del about["files"]
        return about | {"folder": str(self.folder), "model_bytes": len(self.model), "types": list(self.types)}


def _probe_vectors() -> NDArray[np.float32]:
    # An empty vector, and seven over the range of scales that counts and money have.
    random = np.random.default_rng(VECTOR_SIZE)
    rows = random.random((8, VECTOR_SIZE), dtype=np.float32)
    scales = np.array([0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0], dtype=np.float32)
    return rows * scales[:, None]


PROBE_VECTORS: Final = _probe_vectors()
"""float32 [8, W]: a runtime is healthy if it gives these the codes that the bundle gives them."""


def starter_bundle_path() -> Path:
    """The bundle that comes with the package."""
    return Path(__file__).parents[1] / "starter_bundle"


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle and check everything that can be checked without data.

    Raises:
        BundleError: a file is missing or changed, a version does not fit this code, or the graph has the
            wrong tensors or cannot run. The message names the folder and the cause.
    """
    try:
        return _load(folder)
    except BundleError as error:
        raise BundleError(f"bundle {folder}: {error}") from error


def _load(folder: Path) -> Bundle:
    if not folder.is_dir():
        raise BundleError("there is no such folder; name one that `simpersona train --out` made")
    manifest = _decode(_read(folder, MANIFEST), MANIFEST, Manifest)
    version = manifest.feature_version
    if not 1 <= version <= FEATURE_VERSION:
        raise BundleError(
            f"it was trained on feature version {version}, this code makes versions 1 to {FEATURE_VERSION}; "
            "train a new bundle or install the release that fits"
        )
    if manifest.vector_size != FEATURE_WIDTHS[version]:
        raise BundleError(
            f"manifest.json does not fit: $.vector_size is {manifest.vector_size}, and in feature version "
            f"{version} it is {FEATURE_WIDTHS[version]}"
        )
    contents = {name: _read_checked(folder, name, manifest) for name in FILES}
    for name in FILES[1:]:
        _decode(contents[name], name, dict[str, Any])
    catalogue = _decode(contents[CATALOGUE], CATALOGUE, Catalogue)
    probe_codes = _try_graph(contents[MODEL], len(catalogue.types), version)
    return Bundle(
        folder=folder,
        manifest=manifest,
        catalogue=catalogue,
        model=contents[MODEL],
        probe_codes=probe_codes,
    )


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError as error:
        raise BundleError(f"{name} is missing") from error
    except OSError as error:
        raise BundleError(f"{name} cannot be read: {error.strerror}") from error


def _read_checked(folder: Path, name: str, manifest: Manifest) -> bytes:
    content = _read(folder, name)
    if name not in manifest.files:
        raise BundleError(f"{MANIFEST} has no checksum for {name}")
    digest = hashlib.sha256(content).hexdigest()
    if digest != manifest.files[name]:
        raise BundleError(
            f"the SHA-256 of {name} is {digest[:12]}…, {MANIFEST} says {manifest.files[name][:12]}…: "
            f"the file was changed or is not complete; copy the bundle again"
        )
    return content


def _decode(content: bytes, name: str, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=type_)
    except msgspec.MsgspecError as error:
        raise BundleError(f"{name} does not fit: {error}") from error


def _try_graph(model: bytes, types: int, version: int) -> tuple[int, ...]:
    session = open_graph(model, threads=1)
    if layout_of(session) is not LAYOUTS[version]:
        raise BundleError(f"model.onnx is not a graph of feature version {version}, as {MANIFEST} says")
    try:
        answer = run_graph(session, PROBE_VECTORS)
    except Exception as error:  # onnxruntime has a class per status code and no common root but this
        raise BundleError(f"model.onnx does not run: {first_line(error)}") from error
    if any(column.shape != (len(PROBE_VECTORS),) for column in answer):
        shapes = {name: list(column.shape) for name, column in answer._asdict().items()}
        raise BundleError(f"model.onnx gives the shapes {shapes} for {len(PROBE_VECTORS)} rows")
    if not ((answer.code >= 0) & (answer.code < CODES)).all():
        raise BundleError(f"model.onnx gives the codes {answer.code.tolist()}, outside 0 to {CODES - 1}")
    for kinds in (answer.type, answer.forecast):
        if not ((kinds >= -1) & (kinds < types)).all():
            raise BundleError(
                f"model.onnx gives the types {kinds.tolist()}, {CATALOGUE} names {types} of them"
            )
    return tuple(answer.code.tolist())
