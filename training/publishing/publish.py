"""A trained model -> a bundle folder, whole or not at all."""

from __future__ import annotations

import datetime
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from feature_store.contract.events import Event
from inference.bundles.bundle import CATALOGUE, MODEL, Bundle
from inference.bundles.catalogue import encode_catalogue
from inference.bundles.publish import seal_bundle
from inference.bundles.reference import REFERENCE
from inference.encoders.graph import CODES, open_graph, run_graph
from training.encoder.dataset import BuyerVectors
from training.encoder.train import Trained
from training.errors import ExportError
from training.lifecycle.align import Status, with_status
from training.publishing.catalogue import make_catalogue
from training.publishing.export import ServingGraph, check_parity, export_onnx
from training.publishing.reference import make_reference
from training.publishing.report import code_shares, evaluation

MAX_BUNDLE_BYTES: Final = 2_000_000


def check_absent(out: Path) -> None:
    """Refuse, before the time is spent on training, what sealing would refuse after it.

    Raises:
        ExportError: `out` is there already.
    """
    if out.exists():
        raise ExportError(f"{out} is there already; a bundle is never changed: remove it or name another")


def publish(
    trained: Trained,
    data: BuyerVectors,
    out: Path,
    *,
    sources: Sequence[str],
    command: str,
    events: Callable[[], Iterable[Sequence[Event]]] = tuple,
    status: Sequence[Status | None] = (),
    made_up: bool = False,
) -> tuple[Bundle, dict[str, Any]]:
    """Export the model and seal the bundle folder `out`; returns it and evaluation.json's content.

    The folder is filled beside `out` and renamed when it is complete. `events` opens the history that `data`
    was folded from: it is read once more for the sessions on the codes' cards and once for the reference;
    without it, the cards have no sessions and the reference no counts. `status`, one per code, is what the
    alignment says of them; empty where the codebook follows no other. `made_up`: the stores of `data` do not
    exist, so the bundle has seen none.

    Raises:
        ExportError: the graph is not valid, differs from torch, or the bundle is too large.
        BundleError: `out` is there already, or serving would refuse the bundle.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{out.name}.staging-", dir=out.parent))
    staging.chmod(0o755)  # mkdtemp's 0700 would hide the bundle from a worker of another user
    try:
        evaluated = _fill(staging, trained, data, events, status)
        bundle = seal_bundle(
            staging,
            out,
            codebook_version=_codebook_version(staging),
            sources=sources,
            seed=trained.config.seed,
            command=command,
            stores=[] if made_up else [store for store, _ in data.buyers],
        )
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return bundle, evaluated


def _fill(
    staging: Path,
    trained: Trained,
    data: BuyerVectors,
    events: Callable[[], Iterable[Sequence[Event]]],
    status: Sequence[Status | None],
) -> dict[str, Any]:
    model = staging / MODEL
    groups = trained.forecasting and trained.forecasting.groups
    graph = ServingGraph(trained.model, groups and groups.type_of_code).eval()
    export_onnx(graph, model)
    parity = check_parity(graph, model, data.vectors, trained.config.seed)
    encode = partial(run_graph, open_graph(model.read_bytes(), threads=1))
    whole = data.vectors[: len(data.buyers)]  # a view: they may be a file larger than memory
    served = encode(whole)
    evaluated = evaluation(trained, data, code_shares(served.code, CODES), parity)
    catalogue = make_catalogue(
        data.buyers,
        whole,
        served.code,
        served.distance,
        trained.model.quantizer,
        groups,
        events(),
    )
    if status:
        catalogue = with_status(catalogue, status)
    (staging / CATALOGUE).write_bytes(encode_catalogue(catalogue))
    _write(staging / REFERENCE, make_reference(events(), encode))
    _write(staging / "evaluation.json", evaluated)
    size = sum(file.stat().st_size for file in staging.iterdir())
    if size > MAX_BUNDLE_BYTES:
        raise ExportError(f"the bundle has {size} bytes, more than {MAX_BUNDLE_BYTES}")
    return evaluated


def _codebook_version(staging: Path) -> str:
    # Two codebooks never share a version, also when both were trained on one day.
    digest = hashlib.sha256((staging / MODEL).read_bytes()).hexdigest()
    return f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}.{digest[:8]}"


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
