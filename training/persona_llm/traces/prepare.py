"""Events -> a folder of traces: traces.parquet, stores.json, codebook.npy and manifest.json."""

from __future__ import annotations

import datetime
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import structlog
import xxhash

from feature_store.contract.events import Event, encode_event, record_key
from feature_store.workspace import make_parent, publish, workspace
from inference.bundles.bundle import Bundle
from inference.encoders.onnx import OnnxEncoder
from training.errors import DatasetError
from training.persona_llm.model.tokens import codebook
from training.persona_llm.storefront.store_model import StoreModel, save_stores
from training.persona_llm.traces.rewriting import Rewriter, rewritten
from training.persona_llm.traces.traces import Trace, save_traces, traces_of

log = structlog.get_logger()

STORES: Final = "stores.json"
CODEBOOK: Final = "codebook.npy"
"""The codes' vectors, float32 [256, 96]: where a model's token rows may start."""
MIN_EVENTS: Final = 3
"""A shorter session shows too little to tell one shopper from another."""
_PARTS: Final = 64
"""A part of the history is in memory at a time."""

_decode_lines = msgspec.json.Decoder(Event).decode_lines


def prepare(
    batches: Iterable[Sequence[Event]],
    bundle: Bundle,
    out: Path,
    *,
    sources: Sequence[str],
    command: str,
    min_events: int = MIN_EVENTS,
    seed: int = 0,
    rewriter: Rewriter | None = None,
) -> dict[str, Any]:
    """Cut a history, given in arrival order, into traces, learn its stores, write both; the manifest.

    Events are split by buyer on disk beside `out`; a part of them, and all traces, are in memory at a time.
    A store without a session of training buyers is not learned, and agents cannot shop there.

    Raises:
        DatasetError: no session is long enough, or `out` is there already.
        ExportError: the encoder does not name its codebook.
        OutputError: the disk is full, or `out` cannot be written.
    """
    if out.exists():
        raise DatasetError(f"{out} is there already; remove it or name another folder")
    make_parent(out)
    encoder = OnnxEncoder(bundle)
    with workspace(out) as work:
        parts = _Parts(work / "parts")
        parts.write(batches)
        traces: list[Trace] = []
        for events in parts:
            traces += traces_of(
                [events], lambda vectors: encoder.encode(vectors).code, min_events=min_events, seed=seed
            )
        if not traces:
            raise DatasetError(
                f"no session among {parts.events:,} events has {min_events} events or more; give more, or "
                "richer, events"
            )
        about: dict[str, Any] = {
            "codebook_version": bundle.codebook_version,
            "encoder_sha256": bundle.manifest.files["model.onnx"],
            "created_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "command": command,
            "sources": list(sources),
            "events": parts.events,
            "min_events": min_events,
            "seed": seed,
            "rewritten": None,
        }
        if rewriter is not None:
            traces, about["rewritten"] = rewritten(traces, rewriter)
        made = work / "traces"
        made.mkdir()
        save_stores(learn_stores(traces, parts.currencies(), seed), made / STORES)
        np.save(made / CODEBOOK, codebook(bundle))
        save_traces(traces, about, made)
        publish(made, out)
    log.info("llm_prepared", traces=len(traces), events=parts.events)
    manifest: dict[str, Any] = msgspec.json.decode((out / "manifest.json").read_bytes())
    return manifest


def learn_stores(traces: Sequence[Trace], currencies: dict[str, str], seed: int) -> list[StoreModel]:
    """Learn each store from its training traces, in the order of their names."""
    sessions = defaultdict(list)
    for trace in traces:
        if trace.split == "train":
            sessions[trace.store].append(trace.steps)
    return [
        StoreModel.learn(store, sessions[store], seed=seed, currency=currencies.get(store))
        for store in sorted(sessions)
    ]


class _Parts:
    """A history split by buyer into files of events."""

    def __init__(self, folder: Path) -> None:
        self.events = 0
        self._paths = [folder / f"{number:02d}.ndjson" for number in range(_PARTS)]
        self._currencies: dict[str, Counter[str]] = defaultdict(Counter)
        folder.mkdir()

    def write(self, batches: Iterable[Sequence[Event]]) -> None:
        with ExitStack() as stack:
            files = [stack.enter_context(path.open("wb")) for path in self._paths]
            for batch in batches:
                for event in batch:
                    part = xxhash.xxh3_64_intdigest(record_key(event.store, event.buyer)) % _PARTS
                    files[part].write(encode_event(event) + b"\n")
                    if event.currency:
                        self._currencies[event.store][event.currency] += 1
                self.events += len(batch)

    def __iter__(self) -> Iterator[list[Event]]:
        for path in self._paths:
            yield _decode_lines(path.read_bytes())

    def currencies(self) -> dict[str, str]:
        """The currency that most priced events of a store are in."""
        return {store: counts.most_common(1)[0][0] for store, counts in self._currencies.items()}
