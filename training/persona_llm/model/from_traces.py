"""A folder of traces -> a model folder."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch

from feature_store.workspace import make_parent
from inference.encoders.graph import CODES
from training.persona_llm.model.base import SMALL
from training.persona_llm.model.config import LlmConfig, Schedule, stages
from training.persona_llm.model.folder import LlmManifest, check_absent, quiet, save_llm
from training.persona_llm.model.train import train_llm
from training.persona_llm.storefront.store_model import load_stores
from training.persona_llm.traces.prepare import CODEBOOK, STORES
from training.persona_llm.traces.traces import NO_CODE, Kind, Trace, load_traces

TokenRows = Literal["random", "codes"]
EPOCHS: Final = 10
"""Passes over the traces where nobody says how many; the evaluation's as well."""


def asked_config(
    *,
    base: str = SMALL,
    schedule: Schedule = "one-stage-mixed",
    epochs: int = EPOCHS,
    kind: Kind = "after",
    token_rows: TokenRows = "codes",
    plans: bool = True,
    lora_rank: int = 0,
    seed: int = 0,
) -> LlmConfig:
    """The settings of a run from what a person says of it."""
    return LlmConfig(
        base=base,
        stages=stages(schedule, base, epochs),
        kind=kind,
        token_rows=token_rows,
        plans=plans,
        lora_rank=lora_rank,
        seed=seed,
    )


def make_llm(prepared: Path, config: LlmConfig, out: Path, *, command: str) -> LlmManifest:
    """Train on what `prepare` wrote and save the model; a killed training goes on with the same arguments.

    Raises:
        DatasetError: the folder holds no traces, or too few with a token of config.kind.
        DivergedError, ExportError, OutputError: see train_llm and save_llm.
    """
    check_absent(out)
    traces, about = load_traces(prepared)
    stores = load_stores(prepared / STORES)
    make_parent(out)
    began = time.monotonic()
    with quiet():
        trained = train_llm(
            traces,
            config,
            resume_from=out.absolute().with_name(f".{out.name}.checkpoint"),
            code_vectors=np.load(prepared / CODEBOOK) if config.token_rows == "codes" else None,
        )
    return save_llm(
        trained,
        stores,
        about,
        out,
        code_counts=_code_counts(traces, config.kind),
        command=command,
        device=device_name(),
        seconds=time.monotonic() - began,
    )


def _code_counts(traces: Sequence[Trace], kind: Kind) -> dict[str, list[int]]:
    """Store -> training buyers of each code, int [256]; a buyer's last session counts."""
    last = {(trace.store, trace.buyer): trace.codes[kind] for trace in traces if trace.split == "train"}
    counts = {store: [0] * CODES for store in sorted({trace.store for trace in traces})}
    for (store, _), code in last.items():
        if code != NO_CODE:
            counts[store][code] += 1
    return counts


def device_name() -> str:
    """What the figures of a run were made on, in words."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU, {torch.get_num_threads()} threads ({platform.machine()})"
