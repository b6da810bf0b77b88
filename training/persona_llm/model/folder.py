"""A trained persona LLM as a folder: what transformers reads, the stores it can shop in, and a manifest.

simpersona-llm.json        what it is, and the SHA-256 of every other file
stores.json                catalogues and pages of the stores of its traces
config.json, model.safetensors, tokenizer.json, ...    as Hugging Face has them
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from feature_store.workspace import publish, workspace, write_whole
from training.errors import ExportError
from training.persona_llm.model.base import Base, load_base, placed
from training.persona_llm.model.config import LlmConfig
from training.persona_llm.model.digests import changed, digests
from training.persona_llm.model.train import TrainedLlm
from training.persona_llm.storefront.store_model import StoreModel, load_stores, save_stores
from training.persona_llm.traces.prepare import STORES
from training.persona_llm.traces.traces import TRACES

MANIFEST: Final = "simpersona-llm.json"
_MODEL_FILE: Final = "model.safetensors"


class LlmManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a persona LLM says of itself.

    layout: of the folder. model_version: its name, the day and the weights' hash. codebook_version and
    encoder_sha256: whose codes its tokens are. code_counts: store -> training buyers of each of the 256
    codes. traces_sha256 and sources: what it learned from. split_seed: how the
    traces' buyers were parted (traces.SPLIT_SEED), None where it was not kept. losses: mean validation loss a
    written token after each epoch, nats. created_at: RFC 3339 UTC.
    """

    layout: Literal[1] = 1
    model_version: str
    codebook_version: str
    encoder_sha256: str
    config: dict[str, Any]
    parameters: int
    losses: list[float]
    code_counts: dict[str, list[int]]
    traces_sha256: str
    traces: int
    split_seed: int | None = None
    sources: list[str]
    command: str
    created_at: str
    device: str
    seconds: float
    files: dict[str, str] = {}


class PersonaLlm(NamedTuple):
    """A model that was saved: its folder, manifest, weights (eval mode) and stores."""

    folder: Path
    manifest: LlmManifest
    base: Base
    stores: dict[str, StoreModel]

    @property
    def config(self) -> LlmConfig:
        """How it was trained."""
        return LlmConfig.model_validate(self.manifest.config)

    def store(self, name: str) -> StoreModel:
        """A store that agents can shop in.

        Raises:
            ExportError: it is none of the model's stores.
        """
        if name not in self.stores:
            raise ExportError(
                f"{self.folder} knows no store {name!r} (it has: {', '.join(sorted(self.stores))})"
            )
        return self.stores[name]


def check_absent(out: Path) -> None:
    """Refuse before the time is spent on training.

    Raises:
        ExportError: `out` is there already.
    """
    if out.exists():
        raise ExportError(f"{out} is there already; remove it or name another folder")


def save_llm(
    trained: TrainedLlm,
    stores: Mapping[str, StoreModel],
    prepared: Mapping[str, Any],
    out: Path,
    *,
    code_counts: Mapping[str, Sequence[int]],
    command: str,
    device: str,
    seconds: float,
) -> LlmManifest:
    """Write a model folder, whole or not at all.

    prepared: the manifest of its traces.

    Raises:
        ExportError: `out` is there already.
        OutputError: the disk is full, or `out` cannot be written.
    """
    check_absent(out)
    now = datetime.datetime.now(datetime.UTC)
    with workspace(out) as work:
        made = work / "model"
        made.mkdir()
        try:
            with quiet():
                trained.base.model.save_pretrained(made, max_shard_size="50GB")
                trained.base.tokenizer.save_pretrained(made)
        except SafetensorError as error:  # a full disk, in words of its own
            raise OSError(str(error)) from error
        save_stores(stores.values(), made / STORES)
        files = digests(made)
        manifest = LlmManifest(
            model_version=f"{now:%Y-%m-%d}.{files[_MODEL_FILE][:8]}",
            codebook_version=prepared["codebook_version"],
            encoder_sha256=prepared["encoder_sha256"],
            config=trained.config.model_dump(mode="json"),
            parameters=trained.base.model.num_parameters(),
            code_counts={store: list(counts) for store, counts in code_counts.items()},
            losses=[round(loss, 6) for loss in trained.losses],
            traces_sha256=prepared["files"][TRACES],
            traces=sum(sum(store["sessions"].values()) for store in prepared["stores"].values()),
            split_seed=prepared["split_seed"],
            sources=prepared["sources"],
            command=command,
            created_at=now.isoformat(timespec="seconds"),
            device=device,
            seconds=round(seconds, 1),
            files=files,
        )
        write_whole(made / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
        publish(made, out)
    return manifest


def read_manifest(folder: Path) -> LlmManifest:
    """What a model folder says of itself; its other files are not looked at.

    Raises:
        ExportError: it is no folder of a persona LLM.
    """
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=LlmManifest)
    except (OSError, msgspec.MsgspecError) as error:
        raise ExportError(
            f"{folder} is no persona LLM ({error}); make one by `simpersona llm train`"
        ) from error


def load_llm(folder: Path) -> PersonaLlm:
    """Read what save_llm wrote, and check that it is unchanged.

    Raises:
        ExportError: it is no folder of a persona LLM, or a file is missing or was changed.
        DatasetError: its stores cannot be read.
    """
    manifest = read_manifest(folder)
    if (path := changed(folder, manifest.files)) is not None:
        raise ExportError(f"{path} is missing or was changed; copy the model again")
    with quiet():
        base = placed(load_base(str(folder.resolve()), 0))
    llm = PersonaLlm(folder, manifest, base, load_stores(folder / STORES))
    return llm._replace(base=base._replace(plans=llm.config.plans))


class quiet:  # noqa: N801  (reads as a statement: with quiet(): ...)
    """No progress bars of transformers while the block runs."""

    def __enter__(self) -> None:
        self._was_on = transformers_logging.is_progress_bar_enabled()
        transformers_logging.disable_progress_bar()

    def __exit__(self, *_: object) -> None:
        if self._was_on:
            transformers_logging.enable_progress_bar()
