"""Parts d and e of the issue: simulated populations beside real ones, and the loop on actions alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from training.persona_llm.evaluation import measures as m
from training.persona_llm.evaluation.distribution import distribution, novelty, times_to_cart
from training.persona_llm.evaluation.pairings import paired_codes
from training.persona_llm.evaluation.plan import Pairing
from training.persona_llm.evaluation.settings import Setting

Ints = NDArray[np.int64]

_SHOWN: Final = 10
_SEED: Final = 0


def populations(setting: Setting) -> dict[str, Any]:
    """Distribution measures of each population, means over stores: agents with the token and without, the
    chains, replayed sessions, and the real sessions themselves (length and between_codes of their own)."""
    part = setting.parts[0]
    pairings: dict[str, Pairing] = {"model": "matched", "no token": "none"}
    agents = {
        name: [[run.actions for run in runs] for runs in setting.simulated(pairing)]
        for name, pairing in pairings.items()
    }
    found = {"real": [t.actions for t in setting.judged.traces]} | {
        name: sessions[0] for name, sessions in (agents | part.walked).items() if sessions
    }
    codes = [trace.codes[part.kind] for trace in setting.judged.traces]
    told = {}
    for name, sessions in found.items():
        each = []
        for store in range(len(setting.judged.stores)):
            mine = np.flatnonzero(setting.judged.store == store).tolist()
            training = [t.actions for t in part.training if t.store == setting.judged.stores[store]]
            each.append(
                distribution(
                    [setting.judged.traces[i].actions for i in mine],
                    [sessions[i] for i in mine],
                    training,
                    [codes[i] for i in mine],
                )
            )
        told[name] = {key: float(np.nanmean([one[key] for one in each])) for key in each[0]}
    return told


def time_to_cart(setting: Setting) -> dict[str, Any]:
    """Quartiles of the seconds to the first cart, of real and of simulated sessions with one."""
    runs = setting.simulated("matched")[0]
    both = {
        "real": times_to_cart([trace.steps for trace in setting.judged.traces]),
        "model": times_to_cart([run.steps for run in runs]),
    }
    return {
        name: {"sessions": len(times), "quartiles": np.percentile(times, (25, 50, 75)).tolist()}
        for name, times in both.items()
        if len(times)
    }


def loop_on_actions(setting: Setting) -> dict[str, Any]:
    """The code of a session's own actions goes into the agent; which comes out of what it does?

    code and type: shares that agree, beside the chain of store and code, dealt-out codes (chance) and the
    share of the agents' sessions that no training session equals.
    """
    coder, part, judged = setting.runs.trace_coder, setting.parts[0], setting.judged
    given = np.array([trace.codes["after"] for trace in judged.traces], np.int64)
    sessions = {
        "model": [[run.actions for run in runs] for runs in setting.simulated("matched")],
        "markov_code": part.walked["markov_code"],
        "replay": part.walked["replay"],
    }
    dealt = paired_codes(judged, "after", "random", _SEED)
    came: Mapping[str, Sequence[Ints]] = {
        name: [coder.codes(one) for one in each] for name, each in sessions.items()
    } | {"chance": [dealt]}
    types = coder.type_of_code
    return {
        "seeds": setting.seeds("matched"),
        "codes": len(types),
        "code": {name: _agree(setting, given, each) for name, each in came.items()},
        "type": {
            name: _agree(setting, types[given], [types[one] for one in each]) for name, each in came.items()
        },
        "novelty": float(
            np.mean([novelty(one, [t.actions for t in part.training]) for one in sessions["model"]])
        ),
    }


def _agree(setting: Setting, given: Ints, came: Sequence[Ints]) -> dict[str, float]:
    same = np.mean([given == one for one in came], axis=0)
    return setting.estimate(lambda w: m.by_buyer(setting.judged, same, w))._asdict()


def examples(setting: Setting) -> list[dict[str, Any]]:
    """Ten simulated sessions, each next to the real session whose token it was given: the first of as many
    codes as there are, spread over stores and strata."""
    runs = setting.simulated("matched")[0]
    order = np.random.default_rng(_SEED).permutation(len(runs)).tolist()
    told: list[dict[str, Any]] = []
    cells: list[int] = []
    for i in order:
        trace, cell = setting.judged.traces[i], int(setting.judged.cell[i])
        if cell < 0 or cells.count(cell) > len(told) // max(len(setting.judged.cells), 1):
            continue
        cells.append(cell)
        told.append(
            {
                "store": trace.store,
                "code": trace.codes[setting.parts[0].kind],
                "stratum": setting.judged.stratum[i],
                "real": trace.actions,
                "simulated": runs[i].actions,
                "plan": runs[i].plan or "",
                "end": runs[i].end,
            }
        )
        if len(told) == _SHOWN:
            break
    return sorted(told, key=lambda one: (one["store"], one["stratum"]))
