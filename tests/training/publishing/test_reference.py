"""The reference of a bundle: counted as the live path counts, warm, and honest about its own spread."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from inference.bundles.bundle import load_bundle, starter_bundle_path
from inference.bundles.reference import REFERENCE, SPANS_MS, load_reference
from inference.counts.counting import WindowRule
from inference.counts.offline import OfflineCounts
from inference.counts.profile import FEATURE, Counts, buyers, empty_profile
from inference.encoders.onnx import OnnxEncoder
from inference.errors import ProfileError
from ops.traffic import TrafficConfig, generate
from training.publishing.reference import WINDOW_MS, ReferenceCounter, make_reference

ENCODER = OnnxEncoder(load_bundle(starter_bundle_path()))
TRAFFIC = TrafficConfig(buyers=600, hours=12, stores=2)


def test_a_reference_comes_back_as_it_was_counted(tmp_path: Path) -> None:
    made = make_reference(generate(TRAFFIC, 3), ENCODER.encode)
    (tmp_path / REFERENCE).write_text(json.dumps(made))
    reference = load_reference(tmp_path)
    assert len(reference.stores) == 2
    assert np.array_equal(sum(reference.stores.values(), empty_profile()), reference.pooled)
    assert np.array_equal(reference.of("never seen"), reference.pooled)
    assert buyers(reference.pooled) == made["votes"]


def test_the_beginning_warms_the_states_and_the_rest_is_counted() -> None:
    counter = ReferenceCounter(ENCODER.encode)
    recount = OfflineCounts(WindowRule(WINDOW_MS, 2**50), ENCODER.encode)
    for batch in generate(TRAFFIC, 3):
        counter.add(batch)
        recount.add(batch)
    windows = recount.drain()
    began = min(window for _, _, window in windows)
    # 12 hours: stretches of 1, 1, 2, 4 and 4 hours; the last two are the reference
    expected = sum((counts for (_, _, w), counts in windows.items() if w - began >= 48), empty_profile())
    assert np.array_equal(counter.reference().pooled, expected)


def spans_of(rng: np.random.Generator, votes_of_a_buyer: int) -> dict[tuple[int, str, int], Counts]:
    """Windows of one store in which every buyer has so many equal votes."""
    shares, feature = np.full(8, 1 / 8), FEATURE["purchases"]
    windows = {}
    for window in range(0, 3_000, 3):
        profile = empty_profile()
        profile[feature.cells][:8] = votes_of_a_buyer * rng.multinomial(60, shares)
        windows[0, "acme", window] = profile
    return windows


@pytest.mark.parametrize("votes_of_a_buyer", [1, 3])
def test_dispersion_is_how_many_votes_go_together(votes_of_a_buyer: int) -> None:
    counter = ReferenceCounter(ENCODER.encode)
    counter.add_windows(spans_of(np.random.default_rng(4), votes_of_a_buyer))
    found = counter.reference().dispersion[SPANS_MS[0]]["purchases"]
    assert found == pytest.approx(votes_of_a_buyer, rel=0.1)


def test_a_history_too_short_to_say_is_taken_to_vary() -> None:
    counter = ReferenceCounter(ENCODER.encode)
    assert counter.reference().dispersion[SPANS_MS[0]]["codes"] > 1


def test_a_bundle_of_an_older_release_is_named(tmp_path: Path) -> None:
    (tmp_path / REFERENCE).write_text('{"buyers": 3, "code_shares": [1.0]}')
    with pytest.raises(ProfileError, match="older release"):
        load_reference(tmp_path)
