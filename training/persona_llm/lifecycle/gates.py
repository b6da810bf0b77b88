"""Gates of the persona LLM: what a candidate must show against the model in use, on the same test sessions.

Both let one agent a session shop: with the session's token and a neutral goal, for ARA; with its explicit
goal, where that asks for something, for failed runs. A gate bounds how much worse a figure may be.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np

from training.errors import GateError
from training.evaluation.measures import once
from training.lifecycle.gates import Verdict
from training.persona_llm.agents.agents import GUIDANCE, Shopper, simulate
from training.persona_llm.lifecycle.gate_settings import LlmGateSettings
from training.persona_llm.measures import Acted, Judged, ara
from training.persona_llm.model.base import Base
from training.persona_llm.model.folder import LlmManifest
from training.persona_llm.storefront.store_model import StoreModel
from training.persona_llm.storefront.storefront import Goal
from training.persona_llm.traces.goals import FULFILLED_BY
from training.persona_llm.traces.sessions import LANDMARK
from training.persona_llm.traces.traces import NO_CODE, Kind, Trace


class LlmFigures(NamedTuple):
    """ara: mean over strata, then stores (paper.md, How the agents are judged), 0 to 1; NaN where no stratum
    of a store has enough sessions. failed_runs: share of agents asked for the cart, checkout or purchase that
    the session had whose run did not end as "done"; NaN where no session had any."""

    ara: float
    failed_runs: float


_GOOD_IS_HIGH: Final = {"ara": True, "failed_runs": False}


def require_sides(manifest: LlmManifest, split_seed: int) -> None:
    """Refuse a model that may have learned from buyers who are on the test side here.

    Raises:
        GateError: its buyers were parted by another seed, or by one that it does not name.
    """
    if manifest.split_seed != split_seed:
        by = "an unknown seed" if manifest.split_seed is None else f"the seed {manifest.split_seed}"
        raise GateError(
            f"the buyers of the persona LLM {manifest.model_version} were parted by {by}, not by "
            f"{split_seed}: it may have learned from those whom it would be judged on. Train one by "
            "`simpersona llm train`, promote it uncompared by `simpersona llm models promote FOLDER --force`"
        )


def gate_traces(
    traces: Sequence[Trace], kinds: Collection[Kind], settings: LlmGateSettings, seed: int
) -> list[Trace]:
    """Test sessions with a token of every kind, some of them where there are many.

    Raises:
        GateError: there is none.
    """
    found = [t for t in traces if t.split == "test" and all(t.codes[kind] != NO_CODE for kind in kinds)]
    if not found:
        names = " and ".join(map(repr, sorted(kinds)))
        raise GateError(f"no test session has a token of the kind {names}: nothing to judge models on")
    if len(found) > settings.sessions:
        chosen = np.random.default_rng(seed).choice(len(found), settings.sessions, replace=False)
        found = [found[i] for i in sorted(chosen.tolist())]
    return found


def with_codes(
    traces: Sequence[Trace], kind: Kind, codes: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> list[Trace]:
    """Traces whose tokens are those of another codebook: codes int64 [256], NO_CODE for none."""
    return [msgspec.structs.replace(t, codes=t.codes | {kind: int(codes[t.codes[kind]])}) for t in traces]


def measure(
    base: Base, stores: Mapping[str, StoreModel], traces: Sequence[Trace], kind: Kind, seed: int
) -> LlmFigures:
    """Let agents shop beside the traces (all with or without a token of the kind) and measure them."""
    crowd = [_shopper(t, kind, Goal(t.neutral, None)) for t in traces]
    neutral = simulate(base, stores, crowd, seed=seed, guidance=GUIDANCE)
    judged = Judged.of(traces)
    acted = Acted.of([run.actions for run in neutral])
    value = float(ara(judged, acted, once(judged.buyers))[0]) if judged.cells else math.nan
    tasks = [t for t in traces if FULFILLED_BY[t.outcome] is not None]
    asked = [_shopper(t, kind, Goal(t.explicit, FULFILLED_BY[t.outcome])) for t in tasks]
    runs = simulate(base, stores, asked, seed=seed)
    failed = float(np.mean([run.end != "done" for run in runs])) if runs else math.nan
    return LlmFigures(value, failed)


def _shopper(trace: Trace, kind: Kind, goal: Goal) -> Shopper:
    begun = tuple(trace.actions[:LANDMARK]) if kind == "early" else ()
    return Shopper(trace.store, trace.codes[kind], goal, begun)


def judge(champion: LlmFigures | None, candidate: LlmFigures, settings: LlmGateSettings) -> list[Verdict]:
    """Hold the candidate's figures against the champion's; None: there is no model in use, and all pass.

    A figure that is no number fails, unless the champion's is none either.
    """
    if champion is None:
        return [Verdict(gate, math.nan, value, math.nan, True) for gate, value in candidate._asdict().items()]
    bounds = {
        "ara": champion.ara - settings.ara_loss,
        "failed_runs": champion.failed_runs + settings.failed_rise,
    }
    verdicts = []
    for gate, bound in bounds.items():
        ours, theirs = getattr(candidate, gate), getattr(champion, gate)
        passed = ours >= bound if _GOOD_IS_HIGH[gate] else ours <= bound
        verdicts.append(Verdict(gate, theirs, ours, bound, bool(passed or math.isnan(theirs))))
    return verdicts
