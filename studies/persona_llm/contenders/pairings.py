"""Whose token an agent gets: the matching one, or one that must do worse."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from studies.persona_llm.plan import Pairing
from training.persona_llm.measures import Judged
from training.persona_llm.traces.goals import Outcome
from training.persona_llm.traces.traces import NO_CODE, Kind

Ints = NDArray[np.int64]

_FARTHEST: Final[dict[Outcome, str]] = {"A": "DCB", "B": "DCA", "C": "ADB", "D": "ABC"}
"""Strata by how far they lie from one, the farthest first."""


def paired_codes(judged: Judged, kind: Kind, pairing: Pairing, seed: int) -> Ints:
    """The code beside each judged session, int64 [n].

    random: the store's codes dealt out anew. other, opposite: that of a random session of the store in
    another stratum, or in the farthest that the store has; its own where the store has one stratum only.
    """
    own = np.array([trace.codes[kind] for trace in judged.traces], np.int64)
    if pairing == "matched":
        return own
    if pairing == "none":
        return np.full(len(own), NO_CODE, np.int64)
    random = np.random.default_rng([seed, 1])
    out = own.copy()
    stratum = np.array(judged.stratum)
    for store in range(len(judged.stores)):
        mine = np.flatnonzero(judged.store == store)
        if pairing == "random":
            out[mine] = own[random.permutation(mine)]
            continue
        for name in np.unique(stratum[mine]):
            among = mine[np.isin(stratum[mine], _partners(name, stratum[mine], pairing))]
            here = mine[stratum[mine] == name]
            if len(among):
                out[here] = own[random.choice(among, len(here))]
    return out


def _partners(of: Outcome, there: NDArray[np.str_], pairing: Pairing) -> list[str]:
    others = [name for name in _FARTHEST[of] if name in there]
    return others if pairing == "other" else others[:1]
