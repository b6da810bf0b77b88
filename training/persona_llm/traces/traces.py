"""Traces: real sessions as (store, goal, persona token, actions on real items), and where they come from.

Three tokens stand beside each trace, and never mix: `before` from what was known when the session began,
`early` from the session's first three events (no funnel event among them; only the rest may then be
simulated), and `after` from everything the buyer ever did. The last knows the outcome: it serves the
paper's circular setting (expressiveness), never a claim of prediction.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from feature_store.contract.events import Event
from feature_store.workspace import write_whole
from training.errors import DatasetError
from training.persona_llm.model.digests import changed, digests
from training.persona_llm.storefront.actions import ACTIONS, Step, steps_of
from training.persona_llm.traces.goals import Outcome, explicit_goal, neutral_goal, outcome, wrong_outcome
from training.persona_llm.traces.sessions import Session, sessions_of
from training.persona_llm.traces.step_rows import step_rows, steps_from

Split = Literal["train", "validation", "test"]
Kind = Literal["before", "early", "after"]
KINDS: Final[tuple[Kind, ...]] = ("before", "early", "after")
NO_CODE: Final = -1
_SHARES: Final[dict[Split, float]] = {"train": 0.5, "validation": 0.1, "test": 0.4}

SPLIT_SEED: Final = 0
"""Of the sides of buyers, whatever else is seeded: a model is held against its successor on buyers from whom
neither learned."""
TRACES: Final = "traces.parquet"
_MANIFEST: Final = "manifest.json"

Encode = Callable[[NDArray[np.float32]], NDArray[np.int64]]
"""Raw vectors float32 [n, W] -> codes int64 [n]."""


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """One session. codes: kind -> buyer code, NO_CODE where there is none. The last step is LEAVE."""

    store: str
    buyer: str
    number: int
    started: int
    known_before: int
    split: Split
    codes: dict[Kind, int]
    outcome: Outcome
    neutral: str
    explicit: str
    wrong: str
    wrong_outcome: Outcome
    steps: list[Step]

    @property
    def actions(self) -> list[str]:
        """The actions alone."""
        return [step.action for step in self.steps]


def make_traces(
    batches: Iterable[Sequence[Event]], encode: Encode, *, min_events: int, seed: int
) -> list[Trace]:
    """Cut a history into sessions, encode what was known when, and give each its goals.

    min_events: shorter sessions are left out; they show too little to tell one shopper from another. seed: of
    the goals.

    Raises:
        DatasetError: no session is long enough.
    """
    traces = traces_of(batches, encode, min_events=min_events, seed=seed)
    if not traces:
        raise DatasetError(f"no session has {min_events} events or more; give more, or richer, events")
    return traces


def traces_of(
    batches: Iterable[Sequence[Event]], encode: Encode, *, min_events: int, seed: int
) -> list[Trace]:
    """make_traces of a part of a history, all events of some buyers; it may hold no session."""
    sessions = [session for session in sessions_of(batches) if len(session.events) >= min_events]
    codes = {kind: _codes([getattr(session, kind) for session in sessions], encode) for kind in KINDS}
    return [
        _trace(session, {kind: int(codes[kind][i]) for kind in KINDS}, seed)
        for i, session in enumerate(sessions)
    ]


def _codes(vectors: Sequence[NDArray[np.float32] | None], encode: Encode) -> NDArray[np.int64]:
    codes = np.full(len(vectors), NO_CODE, np.int64)
    known = [i for i, vector in enumerate(vectors) if vector is not None]
    if known:
        codes[known] = encode(np.stack([vector for vector in vectors if vector is not None]))
    return codes


def _trace(session: Session, codes: dict[Kind, int], seed: int) -> Trace:
    steps = steps_of(session.events)
    # Its own generator a session: leaving one out changes no other's words.
    random = np.random.default_rng([seed, _number(f"{session.store}|{session.buyer}|{session.number}")])
    ended = outcome(steps)
    wrong = wrong_outcome(ended, random)
    return Trace(
        store=session.store,
        buyer=session.buyer,
        number=session.number,
        started=session.events[0].timestamp,
        known_before=session.known_before,
        split=split_of(session.store, session.buyer),
        codes=codes,
        outcome=ended,
        neutral=neutral_goal(random),
        explicit=explicit_goal(ended, steps, random),
        wrong=explicit_goal(wrong, steps, random),
        wrong_outcome=wrong,
        steps=steps,
    )


def split_of(store: str, buyer: str) -> Split:
    """All sessions of a buyer fall on one side: 50 % train, 10 % validation, 40 % test, by their hash."""
    share = _number(f"{SPLIT_SEED}|{store}|{buyer}") / 2**64
    for split, width in _SHARES.items():
        if share < width:
            return split
        share -= width
    return "test"


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def describe(traces: Sequence[Trace]) -> dict[str, Any]:
    """Counts and base rates for the manifest: by store and split, sessions, buyers, outcomes and tokens."""
    about: dict[str, Any] = {"actions": list(ACTIONS), "stores": {}}
    for store in sorted({trace.store for trace in traces}):
        mine = [trace for trace in traces if trace.store == store]
        about["stores"][store] = {
            "sessions": dict(Counter(trace.split for trace in mine)),
            "buyers": len({trace.buyer for trace in mine}),
            "base_rates": _base_rates(mine),
            "base_rates_of_splits": {
                split: _base_rates([trace for trace in mine if trace.split == split]) for split in _SHARES
            },
            "with_token": {kind: sum(t.codes[kind] != NO_CODE for t in mine) for kind in KINDS},
        }
    return about


def _base_rates(traces: Sequence[Trace]) -> dict[str, float]:
    outcomes = Counter(trace.outcome for trace in traces)
    return {name: round(outcomes[name] / len(traces), 4) for name in sorted(outcomes)}


def save_traces(traces: Sequence[Trace], manifest: dict[str, Any], folder: Path) -> None:
    """Write traces.parquet, then manifest.json, which names the SHA-256 of every file of the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist([_row(trace) for trace in traces])
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_whole(folder / TRACES, sink.getvalue().to_pybytes())
    manifest = {**manifest, "split_seed": SPLIT_SEED, "files": digests(folder), **describe(traces)}
    write_whole(folder / _MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")


def load_traces(folder: Path) -> tuple[list[Trace], dict[str, Any]]:
    """Read what save_traces wrote.

    Raises:
        DatasetError: a file is missing, or not the one that the manifest names.
    """
    try:
        manifest: dict[str, Any] = msgspec.json.decode((folder / _MANIFEST).read_bytes())
    except (OSError, msgspec.MsgspecError) as error:
        raise DatasetError(f"{folder} holds no traces ({error}); make them by llm prepare") from error
    if TRACES not in manifest.get("files", {}):
        raise DatasetError(f"{folder}/{_MANIFEST} does not name the files of the traces; prepare it again")
    if (path := changed(folder, manifest["files"])) is not None:
        raise DatasetError(f"{path} is missing or was changed; prepare it again")
    if manifest["actions"] != list(ACTIONS):
        raise DatasetError(f"{folder} was prepared with other actions; prepare it again")
    rows = pq.read_table(folder / TRACES).to_pylist()
    return [_unrow(row) for row in rows], manifest


def _row(trace: Trace) -> dict[str, Any]:
    row = {name: getattr(trace, name) for name in Trace.__struct_fields__}
    row["steps"] = step_rows(trace.steps)
    return row


def _unrow(row: dict[str, Any]) -> Trace:
    return Trace(**row | {"steps": steps_from(row["steps"])})
