"""The loop: simulated sessions are folded and encoded again; is the code that comes out the one that went in?

A code that an agent was given says how it should behave. Encoding its behaviour says how it did. Below
the figure stands chance, another shopper's code of the same store; above it, real sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from feature_store.contract.events import Event
from feature_store.history.offline_fold import History
from inference.bundles.bundle import Bundle, load_bundle
from inference.bundles.catalogue import Catalogue
from inference.encoders.graph import CODES
from inference.encoders.onnx import OnnxEncoder
from training.errors import DatasetError
from training.evaluation.bootstrap import Bootstrap, Estimate
from training.persona_llm.agents.agents import Run
from training.persona_llm.traces.events import events_of
from training.persona_llm.traces.traces import NO_CODE, Kind, Trace

STARTED_MS: Final = 1_750_000_000_000
"""When a session that nobody dated is taken to have begun; the vector knows no clock."""

Codes = NDArray[np.int64]
Encode = Callable[[Sequence[Sequence[Event]], Bundle], Codes]
"""Sessions, each of a buyer of its own -> the code of each, int64 [n]; NO_CODE where it has none."""


def loop_figures(
    runs: Sequence[Run],
    replayed: Sequence[Trace],
    bundle: Path,
    seed: int,
    *,
    kind: Kind = "after",
    currencies: Mapping[str, str | None] | None = None,
    encode: Encode | None = None,
) -> dict[str, Any]:
    """How often what comes out of the encoder is what went into the agent.

    Args:
        runs: simulated sessions; those without a code are left out.
        replayed: real sessions, for the ceiling: the code that goes in is codes[kind], which for "after"
            also knows the buyer's other sessions, so it need not come back from this one alone.
        bundle: the encoder whose codes went in.
        seed: of the intervals.
        currencies: of the stores' prices (StoreModel.currency).
        encode: what folds and encodes the sessions; codes_of unless the live path is to do it.

    Returns:
        {"runs", "codebook_version", "code": figures, "type": figures or None where the bundle has no types};
        figures = {"simulated": estimate, "chance": share, "replay": estimate}. A share is in [0, 1];
        an estimate is {"value", "low", "high"}, 95 %, by run and for replay by buyer. chance: the code of a
        random other run of the store. A session without events counts as one that did not come back.

    Raises:
        DatasetError: no run, or no real session, has a code.
        BundleError: the bundle cannot be loaded.
    """
    encoder = load_bundle(bundle)
    found = currencies or {}
    runs = [run for run in runs if run.shopper.code != NO_CODE]
    replayed = [trace for trace in replayed if trace.codes[kind] != NO_CODE]
    if not runs or not replayed:
        raise DatasetError("the loop needs simulated and real sessions that have a persona token")
    simulated = [
        events_of(
            run.steps,
            store=run.shopper.store,
            buyer=f"run-{i}",
            started=STARTED_MS,
            currency=found.get(run.shopper.store),
        )
        for i, run in enumerate(runs)
    ]
    real = [
        events_of(
            trace.steps,
            store=trace.store,
            buyer=f"trace-{i}",
            started=trace.started,
            currency=found.get(trace.store),
        )
        for i, trace in enumerate(replayed)
    ]
    given = np.array([run.shopper.code for run in runs], dtype=np.int64)
    known = np.array([trace.codes[kind] for trace in replayed], dtype=np.int64)
    stores = _numbered([run.shopper.store for run in runs])
    buyers = _numbered([(trace.store, trace.buyer) for trace in replayed])
    through = encode or codes_of
    out, back = through(simulated, encoder), through(real, encoder)

    def figures(label: Codes) -> dict[str, Any]:
        given_label, label_again = label[given], label[out]
        return {
            "simulated": _share(given_label == label_again, np.arange(len(runs)), seed)._asdict(),
            "chance": _chance(given_label, label_again, stores),
            "replay": _share(label[known] == label[back], buyers, seed)._asdict(),
        }

    return {
        "runs": len(runs),
        "codebook_version": encoder.codebook_version,
        # The last place is for NO_CODE, -1: a session without events is nobody's.
        "code": figures(np.append(np.arange(CODES), -2)),
        "type": figures(np.append(type_numbers(encoder.catalogue), -2)) if encoder.types else None,
    }


def codes_of(sessions: Sequence[Sequence[Event]], bundle: Bundle) -> Codes:
    """The code int64 [n] of each session, folded as all that is known of its buyer; NO_CODE without events.

    Every session must be of a buyer of its own.
    """
    codes = np.full(len(sessions), NO_CODE, dtype=np.int64)
    place = {(events[0].store, events[0].buyer): i for i, events in enumerate(sessions) if events}
    if not place:
        return codes
    history = History()
    history.add([event for events in sessions for event in events])
    codes[[place[buyer] for buyer in history.buyers]] = OnnxEncoder(bundle).encode(history.vectors()).code
    return codes


def type_numbers(catalogue: Catalogue) -> Codes:
    """The place of each code's type in the catalogue, int64 [256]; -1 where it has none."""
    numbers = np.full(CODES, -1, dtype=np.int64)
    for number, kind in enumerate(catalogue.types):
        numbers[list(kind.codes)] = number
    return numbers


def _numbered(names: Sequence[Any]) -> Codes:
    places = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return np.array([places[name] for name in names], dtype=np.int64)


def _share(same: NDArray[np.bool_], unit: Codes, seed: int) -> Estimate:
    """The share that is True, with its interval by unit (places 0 .. m - 1)."""
    hits, counts = np.bincount(unit, weights=same), np.bincount(unit).astype(np.float64)
    return Bootstrap(len(counts), seed).estimate(lambda weights: weights @ hits / (weights @ counts))


def _chance(given_label: Codes, label_again: Codes, stores: Codes) -> float:
    """The share that would agree if codes were dealt out anew within each store, in expectation."""
    agreed = 0.0
    for store in np.unique(stores):
        mine = stores == store
        names, counts = np.unique(given_label[mine], return_counts=True)
        shares = counts / mine.sum()
        agreed += sum(
            float(share) * int((label_again[mine] == name).sum())
            for name, share in zip(names, shares, strict=True)
        )
    return agreed / len(given_label)
