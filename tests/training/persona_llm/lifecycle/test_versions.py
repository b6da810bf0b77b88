"""Codes of one codebook version as codes of another: along alignments, against them, or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.population import Mix
from tests.inference.made_bundles import make_bundle
from training.errors import CodebookError
from training.lifecycle.registry import ALIGNMENT, Registry
from training.persona_llm.lifecycle.versions import backward, forward, same, translation
from training.persona_llm.traces.traces import NO_CODE


def alignment(old: str, new: str) -> dict[str, Any]:
    """Code 1 lost its number: its buyers, and most of 2's, went to 7. Code 9 is retired with nobody."""
    rows = [
        {"old": code, "new": code, "status": "kept", "successor": code, "shared": 0.9} for code in range(256)
    ]
    rows[1] |= {"new": None, "status": "retired", "successor": 7, "shared": 0.8}
    rows[2] |= {"new": None, "status": "new", "successor": 7, "shared": 0.6}
    rows[7] |= {"new": None, "status": "new", "successor": 8, "shared": 0.5}
    rows[9] |= {"new": None, "status": None, "successor": None, "shared": 0.0}
    return {"from": old, "to": new, "codes": rows}


def mix(**shares: float) -> Mix:
    of = np.zeros(256)
    for name, share in shares.items():
        of[int(name.removeprefix("c"))] = share
    return Mix(of, 10, 0.1)


def test_forward_is_where_most_buyers_of_a_code_went() -> None:
    codes = forward(alignment("a", "b")).codes
    assert (codes[1], codes[2], codes[7], codes[9], codes[30]) == (7, 7, 8, NO_CODE, 30)


def test_backward_is_who_a_code_came_from() -> None:
    codes = backward(alignment("a", "b")).codes
    assert codes[7] == 1, "the larger share of the two that went there"
    assert codes[8] == 8, "kept"
    assert (codes[1], codes[2], codes[9]) == (NO_CODE, NO_CODE, NO_CODE)


def test_a_mix_moves_with_its_codes_and_says_what_it_lost() -> None:
    way = forward(alignment("a", "b"))
    moved = way.mix(mix(c1=0.2, c2=0.2, c9=0.2, c30=0.4))
    assert moved.shares[7] == pytest.approx(0.5)
    assert moved.shares[30] == pytest.approx(0.5)
    assert way.lost(mix(c1=0.8, c9=0.2)) == pytest.approx(0.2)
    with pytest.raises(CodebookError, match="no code of the codebook a has a counterpart in b"):
        way.mix(mix(c9=1.0))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """v1 -> v2 -> v3, and v4 with no alignment."""
    folder = tmp_path_factory.mktemp("versions")
    made = Registry(folder / "registry")
    for number in (1, 2, 3, 4):
        extras: dict[str, Path] = {}
        if number in (2, 3):
            path = folder / ALIGNMENT
            path.write_text(json.dumps(alignment(f"v{number - 1}", f"v{number}")))
            extras = {ALIGNMENT: path}
        bundle = make_bundle(folder / f"bundle-{number}", number, f"v{number}")
        made.register(bundle, extras=extras, figures={}, tags={})
    return made


def test_translations_follow_the_line_of_retrains(registry: Registry) -> None:
    np.testing.assert_array_equal(translation(registry, "v2", "v2").codes, same("v2").codes)
    along = translation(registry, "v1", "v3")
    assert (along.source, along.target) == ("v1", "v3")
    assert (along.codes[1], along.codes[30], along.codes[9]) == (8, 30, NO_CODE)
    back = translation(registry, "v3", "v1")
    assert (back.codes[7], back.codes[8], back.codes[30]) == (NO_CODE, 8, 30)


def test_what_nothing_maps_is_refused_in_one_sentence(registry: Registry) -> None:
    with pytest.raises(CodebookError, match="the model speaks the codebook v4, the tokens are of v1"):
        translation(registry, "v1", "v4")
