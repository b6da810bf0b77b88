"""Whose token is given: every pairing keeps to its store, and mismatches do mismatch."""

from __future__ import annotations

import numpy as np

from studies.persona_llm.contenders.pairings import paired_codes
from tests.training.persona_llm.made import trace
from training.persona_llm.measures import Judged
from training.persona_llm.storefront.actions import ADD, FIRST, PURCHASE
from training.persona_llm.traces.traces import NO_CODE

KINDS = {"D": [FIRST], "C": [FIRST, ADD], "A": [FIRST, ADD, PURCHASE]}
CODE = {"D": 1, "C": 2, "A": 3}


def judged() -> Judged:
    traces = []
    for place, store in enumerate(("acme", "shop")):
        for name, actions in KINDS.items():
            traces += [
                trace(actions, store=store, buyer=f"{name}{i}", code=100 * place + CODE[name])
                for i in range(12)
            ]
    return Judged.of(traces)


JUDGED = judged()
OWN = np.array([one.codes["after"] for one in JUDGED.traces])


def test_matched_and_none() -> None:
    assert (paired_codes(JUDGED, "after", "matched", 0) == OWN).all()
    assert (paired_codes(JUDGED, "after", "none", 0) == NO_CODE).all()


def test_random_deals_out_the_stores_own_codes() -> None:
    dealt = paired_codes(JUDGED, "after", "random", 0)
    for store in (0, 1):
        mine = JUDGED.store == store
        assert sorted(dealt[mine]) == sorted(OWN[mine])
    assert 0 < (dealt == OWN).mean() < 1


def test_other_and_opposite_come_from_another_stratum_of_the_store() -> None:
    stratum = np.array(JUDGED.stratum)
    other = paired_codes(JUDGED, "after", "other", 0)
    opposite = paired_codes(JUDGED, "after", "opposite", 0)
    assert (other != OWN).all()
    assert (other // 100 == OWN // 100).all()
    assert set(opposite[stratum == "A"] % 100) == {CODE["D"]}
    assert set(opposite[stratum == "D"] % 100) == {CODE["A"]}


def test_a_store_of_one_stratum_keeps_its_tokens() -> None:
    of = Judged.of([trace([FIRST], buyer=str(i), code=i) for i in range(5)])
    assert paired_codes(of, "after", "opposite", 0).tolist() == [0, 1, 2, 3, 4]
