"""Cards: true to the buyers that they are made from, the same for the same data, and without their ids."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from feature_store.fold.funnel import FACT_CELLS
from inference.bundles.catalogue import Catalogue, encode_catalogue
from inference.encoders.graph import CODES
from tests.strategies import START, event
from tests.training.types.test_types import CELL_OF_CODE, CODES_EACH, COLUMN, planted
from training.encoder.quantizers.moving_averages import EmaQuantizer
from training.publishing.catalogue import make_catalogue, wilson
from training.publishing.percentiles import AXES, mean_percentiles
from training.types.types import group_codes

N = 3000
UNUSED = 31
"""The last code of the first cell: nobody has it."""


def quantizer() -> EmaQuantizer:
    """Codes of one cell lie together."""
    made = EmaQuantizer(CODES, 96, FACT_CELLS)
    made.cell_of_code.copy_(torch.from_numpy(CELL_OF_CODE))
    made.codebook[torch.arange(CODES), made.cell_of_code] += 50.0
    return made


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    data, codes = planted(N)
    codes = np.where(codes == UNUSED, UNUSED - 1, codes)
    groups = group_codes(data, np.arange(2 * N), codes, CELL_OF_CODE)
    buyers = [(store, f"secret-{name}") for store, name in data.buyers]
    history = [
        event(event_id=f"e{i}-{j}", store=store, buyer=buyer, type=kind, timestamp=START + i + 9_999 * j)
        for i, (store, buyer) in enumerate(buyers)
        for j, kind in enumerate(["page_view", "product_view"] if codes[i] < CODES_EACH else ["search"])
    ]
    distance = np.random.default_rng(0).random(N).astype(np.float32)
    return make_catalogue(buyers, data.vectors[:N], codes[:N], distance, quantizer(), groups, [history])


def test_every_code_has_a_card_and_shares_add_up(catalogue: Catalogue) -> None:
    assert [card.code for card in catalogue.codes] == list(range(CODES))
    assert sum(card.share for card in catalogue.codes) == pytest.approx(1, abs=1e-3)
    assert sum(card.buyers for card in catalogue.codes) == catalogue.buyers == N
    for card in catalogue.codes:
        kind = catalogue.type_of(card.code)
        assert kind is not None
        assert card.type == kind.name
        assert card == catalogue.require_card(card.code)


def test_cards_say_what_was_planted(catalogue: Catalogue) -> None:
    buyer = catalogue.require_card(7 * CODES_EACH)
    assert [buyer.funnel[name].share for name in "ABCD"] == [1, 0, 0, 0]
    assert buyer.funnel["A"].low > 0.5
    assert buyer.axes["funnel"] > catalogue.require_card(0).axes["funnel"]
    assert list(buyer.axes) == list(AXES)
    assert [card.cell for card in catalogue.codes] == CELL_OF_CODE.tolist()


def test_percentiles_average_to_the_middle(catalogue: Catalogue) -> None:
    for axis in AXES:
        mean = np.average(
            [c.axes.get(axis, 0) for c in catalogue.codes], weights=[c.share for c in catalogue.codes]
        )
        assert mean == pytest.approx(50, abs=1)


def test_cards_show_sessions_and_near_codes(catalogue: Catalogue) -> None:
    card = catalogue.require_card(3)
    assert str(card.typical) == "page view > product view"
    assert str(card.prototype) == "page view > product view"
    assert str(catalogue.require_card(200).typical) == "search"
    assert card.code not in card.nearest
    assert all(other < CODES_EACH for other in card.nearest)


def test_a_code_without_buyers_says_so(catalogue: Catalogue) -> None:
    card = catalogue.require_card(UNUSED)
    assert (card.share, card.buyers, card.funnel, card.typical, card.prototype) == (0.0, 0, {}, None, None)
    assert card.type == catalogue.require_card(0).type
    assert all(catalogue.require_card(other).buyers for other in card.nearest)


def test_the_file_is_small_readable_and_comes_back(catalogue: Catalogue) -> None:
    raw = encode_catalogue(catalogue)
    assert len(raw) < 300_000
    assert len(raw.splitlines()) > CODES, "a line a code: a diff can be read"
    assert msgspec.json.decode(raw, type=Catalogue) == catalogue


def test_no_id_and_no_time_leaves_the_training_data(catalogue: Catalogue) -> None:
    raw = encode_catalogue(catalogue).decode()
    assert "secret" not in raw
    assert str(START)[:8] not in raw


def test_money_is_relative_to_the_store() -> None:
    data, codes = planted(N)
    vectors, stores = data.vectors[:N], np.array([store for store, _ in data.buyers])
    vectors[:, COLUMN["order_value"]] = np.random.default_rng(0).lognormal(3.0, 1.0, N)
    before = mean_percentiles(vectors, stores, codes[:N])
    vectors[stores == "b", COLUMN["order_value"]] *= 1000.0  # another currency
    np.testing.assert_allclose(mean_percentiles(vectors, stores, codes[:N]), before, atol=3)


def test_without_types_and_events_there_are_still_cards() -> None:
    data, codes = planted(500)
    distance = np.zeros(500, np.float32)
    bare = make_catalogue(data.buyers, data.vectors[:500], codes[:500], distance, quantizer(), None)
    assert bare.types == ()
    assert bare.codes[0].type is None
    assert bare.codes[0].typical is None
    assert sum(card.buyers for card in bare.codes) == 500


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_the_textbook_interval(trial: tuple[int, int]) -> None:
    hits, n = trial
    expected = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    estimate = wilson(hits, n)
    assert estimate.share == pytest.approx(hits / n, abs=1e-4)
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high), abs=2e-4)
