"""The isolation bench runs on real servers, and a run ends in a table."""

from __future__ import annotations

import pytest

from bench.comparison.peers import ROOT
from bench.isolation import HEADER, Result, markdown, measure
from bench.requests.attacks import ATTACKS


def test_every_attack_has_a_request_that_is_timed() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 9
    assert {attack.victim for attack in ATTACKS} == {"persona", "stream", "distribution"}


@pytest.mark.integration
def test_a_run_ends_in_a_table() -> None:
    chosen = tuple(attack for attack in ATTACKS if attack.victim != "distribution")[::4]
    cells = list(measure("now", ROOT, chosen, 1.0))
    assert [cell.attack for cell in cells] == [attack.name for attack in chosen]
    for cell in cells:
        assert cell.alone.requests > 0
        assert cell.attacked.requests > 0
        assert cell.mb_after > 0
    result = Result(date="2026-11-26", command="x", machine={}, seconds=1.0, cells=cells)
    lines = markdown(result).splitlines()
    assert lines[0] == f"| {' | '.join(HEADER)} |"
    assert len(lines) == 2 + len(chosen) + 2
