"""Whether the events that `simpersona why` names carry a persona, and how long it takes to find them.

    .venv/bin/python -m bench.why [--buyers N] [--seed S]

Generated buyers of 6 to 500 events, the starter bundle. Of each, the two events that change the forecast most
by themselves are taken away together, and so are 20 pairs drawn by the seed. Differences are paired by buyer,
with a 95 % interval over buyers drawn again (bootstrap, 2,000). Then the CPU of 200 answers for 500 events.

Writes bench/results/why.json.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.document import machine
from feature_store.contract.events import Event
from feature_store.fold.behavior import ALLOWED_LATENESS_MS
from inference.bundles.bundle import load_bundle, starter_bundle_path
from inference.encoders.encoder import Encoder
from inference.encoders.onnx import OnnxEncoder
from ops.past.carried import History, effects, forecast_change, strongest
from ops.past.replay import Placed, fold_buyer
from ops.past.why import Explained
from ops.traffic import TrafficConfig, generate

RESULT: Final = Path(__file__).parent / "results" / "why.json"
_NAMED: Final = 2
_PAIRS: Final = 20
_LEAST_EVENTS: Final = 6
_LONG: Final = 500
_ANSWERS: Final = 200


def histories(buyers: int, seed: int) -> list[list[Event]]:
    """The events of generated buyers that changed their states, in the order in which they came."""
    found: dict[tuple[str, str], list[Event]] = {}
    for batch in generate(TrafficConfig(buyers=buyers), seed):
        for event in batch:
            found.setdefault((event.store, event.buyer), []).append(event)
    folded = [(events, fold_buyer(events, ALLOWED_LATENESS_MS).places) for events in found.values()]
    return [[events[i] for i in places] for events, places in folded]


def carried(encoder: Encoder, events: list[Event], roll: np.random.Generator) -> tuple[float, float]:
    """How far the forecast changes without the named events, and without as many others (mean)."""
    n, history = len(events), History(events, ALLOWED_LATENESS_MS)
    whole = encoder.encode(history.with_more([[]]))
    named = [one.start for one in strongest(effects(history, encoder, whole)[0], _NAMED)]
    pairs = [named, *(roll.choice(n, _NAMED, replace=False).tolist() for _ in range(_PAIRS))]
    other = encoder.encode(history.without_each([np.isin(np.arange(n), pair) for pair in pairs]))
    change = forecast_change(whole, other)
    return float(change[0]), float(change[1:].mean())


def answer_ms(encoder: Encoder, events: list[list[Event]]) -> dict[str, float]:
    """CPU of an answer, without reading the log; events of many buyers in their order as one's."""
    long = sorted((event for one in events for event in one), key=lambda event: event.timestamp)
    took = []
    for start in np.linspace(0, len(long) - _LONG, _ANSWERS).astype(int).tolist():
        mine = [Placed(i, event) for i, event in enumerate(long[start : start + _LONG])]
        began = time.thread_time()
        explained = Explained(encoder, mine, ALLOWED_LATENESS_MS)
        _ = explained.events(), explained.blocks(), explained.acts(), explained.nearest()
        took.append((time.thread_time() - began) * 1000)
    return {f"p{share}": round(float(np.percentile(took, share)), 1) for share in (50, 99)}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--buyers", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    encoder, roll = OnnxEncoder(load_bundle(starter_bundle_path())), np.random.default_rng(asked.seed)
    all_of_them = histories(asked.buyers, asked.seed)
    events = [one for one in all_of_them if _LEAST_EVENTS <= len(one) <= _LONG]
    changes = np.array([carried(encoder, one, roll) for one in events])
    gain = changes[:, 0] - changes[:, 1]
    drawn = gain[roll.integers(len(gain), size=(2_000, len(gain)))].mean(axis=1)
    result: dict[str, Any] = {
        "command": f"python -m bench.why --buyers {asked.buyers} --seed {asked.seed}",
        "machine": machine(),
        "buyers": len(events),
        "without_named": round(float(changes[:, 0].mean()), 4),
        "without_random": round(float(changes[:, 1].mean()), 4),
        "difference": [round(float(v), 4) for v in (gain.mean(), *np.percentile(drawn, (2.5, 97.5)))],
        "answer_cpu_ms": answer_ms(encoder, all_of_them),
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
