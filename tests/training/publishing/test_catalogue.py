"""Cards: true to the buyers that they are made from, the same for the same data, and without their ids."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from inference.bundles.catalogue import Catalogue, encode_catalogue
from inference.encoders.graph import CODES
from tests.strategies import START, event
from tests.training.types.test_types import CODES_EACH, PLANTED, codebook, planted
from training.publishing.catalogue import AXES, make_catalogue, wilson
from training.types.types import group_codes

N = 3000


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    vectors, codes, stores = planted(N, 0)
    buyers = [(str(store), f"secret-{i}") for i, store in enumerate(stores)]
    history = [
        event(event_id=f"e{i}-{j}", store=store, buyer=buyer, type=kind, timestamp=START + i + 9_999 * j)
        for i, (store, buyer) in enumerate(buyers)
        for j, kind in enumerate(["page_view", "product_view"] if codes[i] < CODES_EACH else ["search"])
    ]
    groups = group_codes(vectors, codes, stores, codebook(), seed=0)
    distance = np.random.default_rng(0).random(N).astype(np.float32)
    return make_catalogue(buyers, vectors, codes, distance, codebook(), groups, [history])


def test_every_code_has_a_card_and_shares_add_up(catalogue: Catalogue) -> None:
    assert [card.code for card in catalogue.codes] == list(range(CODES))
    assert sum(card.share for card in catalogue.codes) == pytest.approx(1, abs=1e-3)
    assert sum(card.buyers for card in catalogue.codes) == catalogue.buyers == N
    for card in catalogue.codes:
        kind = catalogue.type_of(card.code)
        assert kind is not None
        assert card.type == kind.name
        assert card == catalogue.require_card(card.code)


def test_funnel_and_axes_say_what_was_planted(catalogue: Catalogue) -> None:
    names = list(PLANTED)
    buyer = catalogue.require_card(names.index("buyer") * CODES_EACH)
    assert [buyer.funnel[name].share for name in "ABCD"] == [1, 0, 0, 0]
    assert buyer.funnel["A"].low > 0.5
    assert buyer.axes["funnel"] > 80
    searcher = catalogue.require_card(names.index("searcher") * CODES_EACH)
    assert searcher.axes["search"] > 85
    bouncer = catalogue.require_card(0)
    assert bouncer.axes["engagement"] < 20
    assert list(bouncer.axes) == list(AXES)


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
    card = catalogue.require_card(250)
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


def test_without_types_and_events_there_are_still_cards() -> None:
    vectors, codes, stores = planted(500, 0)
    buyers = [(str(store), str(i)) for i, store in enumerate(stores)]
    bare = make_catalogue(buyers, vectors, codes, np.zeros(500, np.float32), codebook(), None)
    assert bare.types == ()
    assert bare.codes[0].type is None
    assert bare.codes[0].typical is None
    assert bare.codes[0].buyers > 0


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_the_textbook_interval(trial: tuple[int, int]) -> None:
    hits, n = trial
    expected = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    estimate = wilson(hits, n)
    assert estimate.share == pytest.approx(hits / n, abs=1e-4)
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high), abs=2e-4)
