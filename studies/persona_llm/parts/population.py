"""Parts d and e of the issue: simulated populations beside real ones, and the loop on actions alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from studies.persona_llm.contenders.pairings import paired_codes
from studies.persona_llm.contenders.without_model import partners
from studies.persona_llm.parts.distribution import distribution, times_to_cart
from studies.persona_llm.plan import Pairing
from studies.persona_llm.settings import Setting
from training.evaluation.bootstrap import interval
from training.persona_llm import measures as m

Ints = NDArray[np.int64]

_SHOWN: Final = 10
_SAMPLES: Final = 100
"""Of buyers, for measures that are slow."""
_SEED: Final = 0


def populations(setting: Setting) -> dict[str, dict[str, Any]]:
    """Distribution measures of each population with intervals, means over stores: agents with the token and
    without, the chains, replayed sessions, and the real sessions themselves (length and between_codes of
    their own). Samples draw buyers store by store; both sides of a distance are of the same buyers."""
    part = setting.parts[0]
    pairings: dict[str, Pairing] = {"model": "matched", "no token": "none"}
    agents = {
        name: [[run.actions for run in runs] for runs in setting.simulated(pairing)]
        for name, pairing in pairings.items()
    }
    real = [trace.actions for trace in setting.judged.traces]
    codes = [trace.codes[part.kind] for trace in setting.judged.traces]
    known = [
        frozenset(tuple(t.actions) for t in part.training if t.store == store)
        for store in setting.judged.stores
    ]
    samples = _samples(setting)

    def measured(sessions: Sequence[Sequence[str]], sample: Sequence[list[int]]) -> dict[str, float]:
        each = [
            distribution(
                [real[i] for i in mine], [sessions[i] for i in mine], known[store], [codes[i] for i in mine]
            )
            for store, mine in enumerate(sample)
        ]
        return {key: float(np.nanmean([one[key] for one in each])) for key in each[0]}

    figures = {}
    found = {name: sessions[0] for name, sessions in (agents | part.walked).items() if sessions}
    for name, sessions in ({"real": real} | found).items():
        each = [measured(sessions, sample) for sample in samples]
        figures[name] = {
            key: interval(each[0][key], np.array([one[key] for one in each[1:]]))._asdict() for key in each[0]
        }
    return figures


def _samples(setting: Setting) -> list[list[list[int]]]:
    """The judged sessions as they are, then those of buyers drawn anew: a list per store."""
    judged, random = setting.judged, np.random.default_rng(_SEED)
    of_buyer: dict[int, list[int]] = defaultdict(list)
    for i, buyer in enumerate(judged.buyer.tolist()):
        of_buyer[buyer].append(i)
    buyers = [np.unique(judged.buyer[judged.store == store]) for store in range(len(judged.stores))]
    drawn = [buyers] + [[random.choice(mine, len(mine)) for mine in buyers] for _ in range(_SAMPLES)]
    return [[[i for buyer in mine.tolist() for i in of_buyer[buyer]] for mine in sample] for sample in drawn]


def time_to_cart(setting: Setting) -> dict[str, Any]:
    """Quartiles of the seconds to the first cart with intervals by buyer: of real sessions with one, of
    simulated ones, and of training sessions of the same codes (replay)."""
    part, random = setting.parts[0], np.random.default_rng(_SEED)
    traces = setting.judged.traces
    beside = partners(traces, part.training, part.kind, random, by_store=part.in_store)
    found = {
        "real": [trace.steps for trace in traces],
        "model": [run.steps for run in setting.simulated("matched")[0]],
        "replay": [trace.steps for trace in beside],
    }
    samples = [[i for mine in sample for i in mine] for sample in _samples(setting)]
    figures: dict[str, Any] = {}
    for name, sessions in found.items():
        times = [times_to_cart([steps]) for steps in sessions]
        each = [np.concatenate([times[i] for i in sample]) for sample in samples]
        if min(map(len, each)) == 0:
            continue
        quartiles = np.array([np.percentile(one, (25, 50, 75)) for one in each])
        figures[name] = {
            "sessions": len(each[0]),
            "quartiles": [interval(values[0], values[1:])._asdict() for values in quartiles.T],
        }
    return figures


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
        "markov_planned": part.walked["markov_planned"],
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
        "novelty": _novelty(setting, sessions["model"]),
    }


def _novelty(setting: Setting, each: Sequence[Sequence[Sequence[str]]]) -> dict[str, float]:
    known = frozenset(tuple(trace.actions) for trace in setting.parts[0].training)
    new = np.mean([[tuple(actions) not in known for actions in sessions] for sessions in each], axis=0)
    return setting.estimate(lambda w: m.by_buyer(setting.judged, new, w))._asdict()


def _agree(setting: Setting, given: Ints, came: Sequence[Ints]) -> dict[str, float]:
    same = np.mean([given == one for one in came], axis=0)
    return setting.estimate(lambda w: m.by_buyer(setting.judged, same, w))._asdict()


def examples(setting: Setting) -> list[dict[str, Any]]:
    """Ten simulated sessions, each next to the real session whose token it was given: the first of as many
    codes as there are, spread over stores and strata."""
    runs = setting.simulated("matched")[0]
    order = np.random.default_rng(_SEED).permutation(len(runs)).tolist()
    figures: list[dict[str, Any]] = []
    cells: list[int] = []
    for i in order:
        trace, cell = setting.judged.traces[i], int(setting.judged.cell[i])
        if cell < 0 or cells.count(cell) > len(figures) // max(len(setting.judged.cells), 1):
            continue
        cells.append(cell)
        figures.append(
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
        if len(figures) == _SHOWN:
            break
    return sorted(figures, key=lambda one: (one["store"], one["stratum"]))
