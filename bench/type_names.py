"""Do types keep their names when everything else changes? And are they the buyers' latent types?

    python -m bench.type_names [--buyers 10000] [--retrains 5]

Generated traffic with known latent types is grouped again and again: each time on other 70 % of the
buyers and on a codebook that shares nothing with the one before (k-means of another seed), which is
harsher than a retrain that begins with the champion's weights. Without `previous`, the same runs say
what naming by rule alone would give.
"""

from __future__ import annotations

import argparse
import json
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_mutual_info_score

from feature_store.fold.vector import EMBEDDINGS, N_SCALARS
from feature_store.history.offline_fold import fold_history
from inference.bundles.catalogue import Catalogue
from inference.encoders.graph import CODES, LATENT_SIZE
from ops.traffic import TrafficConfig, generate, truth
from training.encoder.dataset import EVENTS_COLUMN
from training.types.types import TypeGroups, group_codes

SEED = 11
SHARE = 0.7


def traffic(buyers: int) -> tuple[NDArray[np.float32], NDArray[np.str_], NDArray[np.str_]]:
    """Raw vectors, stores and latent types of the buyers."""
    config = TrafficConfig(buyers=buyers, stores=8, hours=96)
    history = fold_history(generate(config, SEED))
    latent = {
        (store, buyer): kind
        for batch in truth(config, SEED)
        for store, buyer, kind in zip(*batch, strict=True)
    }
    stores = np.array([store for store, _ in history.buyers])
    return history.vectors(), stores, np.array([latent[key] for key in history.buyers])


def names_of(groups: TypeGroups, codes: NDArray[np.int64]) -> NDArray[np.str_]:
    return np.array([kind.name for kind in groups.types])[groups.type_of_code[codes]]


def retrains(
    vectors: NDArray[np.float32], stores: NDArray[np.str_], times: int, *, carry: bool
) -> dict[str, list[float]]:
    scalars = np.log1p(vectors[:, :N_SCALARS])
    scaled = np.hstack([(scalars - scalars.mean(0)) / scalars.std(0), vectors[:, EMBEDDINGS] / 2])
    names_before = np.full(len(vectors), "", dtype=object)
    previous: Catalogue | None = None
    figures: dict[str, list[float]] = {"types": [], "buyers_of_kept_names": [], "same_name": []}
    for seed in range(times + 1):
        rows = np.random.default_rng(seed).permutation(len(vectors))[: int(SHARE * len(vectors))]
        kmeans = KMeans(CODES, n_init=1, max_iter=8, random_state=seed).fit(scaled[rows])
        codes = kmeans.labels_.astype(np.int64)
        centres = kmeans.cluster_centers_[:, :LATENT_SIZE].astype(np.float32)
        groups = group_codes(
            vectors[rows], codes, stores[rows], centres, seed=seed, previous=previous if carry else None
        )
        now = np.full(len(vectors), "", dtype=object)
        now[rows] = names_of(groups, codes)
        if previous is not None:
            before = {kind.name for kind in previous.types}
            both = (now != "") & (names_before != "")
            figures["buyers_of_kept_names"].append(sum(k.share for k in groups.types if k.name in before))
            figures["same_name"].append(float((now[both] == names_before[both]).mean()))
        figures["types"].append(len(groups.types))
        previous, names_before = Catalogue(types=groups.types, scale=groups.scale), now
    return {name: [round(value, 3) for value in values] for name, values in figures.items()}


def against_latent(
    vectors: NDArray[np.float32], stores: NDArray[np.str_], latent: NDArray[np.str_]
) -> dict[str, dict[str, float]]:
    """Adjusted mutual information of the starter bundle's codes and types with the latent types."""
    from inference.bundles.bundle import load_bundle, starter_bundle_path
    from inference.encoders.onnx import OnnxEncoder

    bundle = load_bundle(starter_bundle_path())
    codes = OnnxEncoder(bundle).encode(vectors).code
    type_of = {code: kind.name for kind in bundle.catalogue.types for code in kind.codes}
    kinds = np.array([type_of[code] for code in codes.tolist()])
    found = {}
    for least in (1, 3, 5, 10):
        rows = vectors[:, EVENTS_COLUMN] >= least
        found[f"buyers_with_{least}_events_or_more"] = {
            "types": round(float(adjusted_mutual_info_score(latent[rows], kinds[rows])), 3),
            "codes": round(float(adjusted_mutual_info_score(latent[rows], codes[rows])), 3),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--buyers", type=int, default=10_000)
    parser.add_argument("--retrains", type=int, default=5)
    arguments = parser.parse_args()
    vectors, stores, latent = traffic(arguments.buyers)
    report = {
        "buyers": len(vectors),
        "seed": SEED,
        "names_carried_over": retrains(vectors, stores, arguments.retrains, carry=True),
        "names_by_rule_alone": retrains(vectors, stores, arguments.retrains, carry=False),
        "adjusted_mutual_information_with_latent_types": against_latent(vectors, stores, latent),
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
