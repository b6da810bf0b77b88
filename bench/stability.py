"""How many buyers keep their code and their type after a retrain on shifted data: with and without a warm
start, with and without matching of codes.

    .venv/bin/python -m bench.stability [DATA FOLDER] [--epochs N] [--seeds N]

A champion is trained on the first data of a pair and a successor, of another seed, on the second; counted
are the second's held-out buyers. Pairs: a real store's first half of time and all of it; generated traffic
and other buyers in other stores, half of them kinds of store not seen before.

Writes bench/results/stability.json.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from feature_store.contract.events import Event
from inference.bundles.bundle import load_bundle
from ops.history.files import history_batches
from ops.traffic import TrafficConfig, generate
from training.encoder.config import TrainConfig
from training.encoder.dataset import BuyerVectors, training_rows
from training.encoder.train import train
from training.lifecycle.successor import follow, load_weights, save_weights
from training.publishing.publish import publish

RESULT: Final = Path(__file__).parent / "results" / "stability.json"
REAL: Final = ("rees46_multicategory.parquet", "puffy.parquet")


def real(path: Path) -> tuple[BuyerVectors, BuyerVectors]:
    times = sorted(event.timestamp for batch in history_batches(path) for event in batch)
    middle = times[len(times) // 2]

    def first_half() -> Iterator[list[Event]]:
        for batch in history_batches(path):
            yield [event for event in batch if event.timestamp < middle]

    return training_rows(first_half()), training_rows(history_batches(path))


def generated() -> tuple[BuyerVectors, BuyerVectors]:
    before = TrafficConfig(buyers=4_000, stores=2)
    after = TrafficConfig(buyers=4_000, stores=4, noise=0.15)
    return training_rows(generate(before, 1)), training_rows(generate(after, 2))


def retrained(pair: tuple[BuyerVectors, BuyerVectors], config: TrainConfig, folder: Path) -> dict[str, Any]:
    champion_data, data = pair
    champion = train(champion_data, config)
    publish(champion, champion_data, folder / "champion", sources=[], command="bench.stability")
    bundle = load_bundle(folder / "champion")
    save_weights(champion, folder / "state.pt")
    other_seed = config.model_copy(update={"seed": config.seed + 1_000})
    figures: dict[str, Any] = {"champion_buyers": len(champion_data.buyers), "buyers": len(data.buyers)}
    for name, weights in (("cold", None), ("warm", load_weights(folder / "state.pt"))):
        successor = train(data, other_seed, warm_start=weights)
        followed = follow(successor, bundle, data)
        counts = {status: followed.alignment.status.count(status) for status in ("kept", "new", "retired")}
        figures[name] = followed.figures | counts | {"seconds": round(successor.seconds, 1)}
        figures[name]["loss"] = round(sum(successor.validation_losses.values()), 4)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--epochs", type=int, default=TrainConfig().epochs)
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    pairs = {Path(name).stem: real(asked.data / name) for name in REAL}
    pairs["generated"] = generated()
    result: dict[str, Any] = {"epochs": asked.epochs, "pairs": {}}
    for name, pair in pairs.items():
        for seed in range(asked.seeds):
            config = TrainConfig(epochs=asked.epochs, seed=seed)
            with tempfile.TemporaryDirectory() as folder:
                result["pairs"].setdefault(name, []).append(retrained(pair, config, Path(folder)))
            print(name, seed, json.dumps(result["pairs"][name][-1]), flush=True)
            RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
