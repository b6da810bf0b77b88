"""No type that is said denies a fact: over made-up vectors, real shops, and every catalogue."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.contract.identity import PlainIds
from feature_store.fold.behavior import columns
from feature_store.fold.funnel import DEPTHS, FACT_CELLS, VISITS, fact_cells
from feature_store.fold.products import ProductTable
from feature_store.fold.table import StateTable
from feature_store.fold.vector import SCALARS, VECTOR_SIZE
from feature_store.fold.vectors import fold_each
from feature_store.sources.reader import open_events
from inference.bundles.bundle import load_bundle, starter_bundle_path
from inference.bundles.facts import Facts, TypesByFact, facts_of_name
from inference.encoders.encoder import Encoding
from inference.encoders.onnx import OnnxEncoder

CELLS = [(depth, visits) for depth in DEPTHS for visits in VISITS]
COLUMN = {scalar.name: i for i, scalar in enumerate(SCALARS)}
STARTER = load_bundle(starter_bundle_path())


def said(code: int, forecast: int, n: int) -> Encoding:
    nothing = np.full(n, np.nan, np.float32)
    return Encoding(
        np.full(n, code),
        nothing,
        nothing,
        np.full(n, -1),
        nothing,
        np.full(n, forecast),
        np.full(n, 0.7, np.float32),
    )


def vectors_of_all_cells() -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    rows = np.zeros((FACT_CELLS, VECTOR_SIZE), np.float32)
    for row, (depth, visits) in zip(rows, CELLS, strict=True):
        row[COLUMN["sessions"]] = 1 if visits == "new" else 3
        for column in ("carts", "checkouts", "purchases")[: DEPTHS.index(depth)]:
            row[COLUMN[column]] = 2
    return rows


ROWS = vectors_of_all_cells()


def test_a_fact_cell_is_depth_and_visits() -> None:
    assert fact_cells(ROWS).tolist() == list(range(FACT_CELLS))
    bought_without_a_cart = np.zeros((1, VECTOR_SIZE), np.float32)
    bought_without_a_cart[0, COLUMN["purchases"]] = 1
    assert DEPTHS[fact_cells(bought_without_a_cart)[0] // 2] == "bought"


claims = st.builds(Facts, depth=st.sampled_from([None, *DEPTHS]), visits=st.sampled_from([None, *VISITS]))


@given(st.lists(claims, min_size=1, max_size=12), st.data())
def test_no_type_denies_a_fact_whatever_the_catalogue_claims(types: list[Facts], data: st.DataObject) -> None:
    codes = [list(range(i, 256, len(types))) for i in range(len(types))]
    centres = [[float(data.draw(st.integers(0, 9)))] for _ in types]
    told = TypesByFact(types, codes, centres)
    code, forecast = data.draw(st.integers(0, 255)), data.draw(st.integers(-1, len(types) - 1))
    answer = told.apply(said(code, forecast, FACT_CELLS), ROWS)
    own = code % len(types)
    for cell, (depth, visits) in enumerate(CELLS):
        fits = [kind.depth in (None, depth) and kind.visits in (None, visits) for kind in types]
        if not any(fits):
            assert answer.type[cell] == -1
        else:
            assert fits[answer.type[cell]]
            assert answer.type[cell] == own or not fits[own]
        coming = int(answer.forecast[cell])
        assert np.isnan(answer.forecast_probability[cell]) == (coming < 0)
        if coming >= 0:
            claim = types[coming]
            assert claim.depth is None or DEPTHS.index(claim.depth) >= DEPTHS.index(depth)
            assert claim.visits in (None, visits)


def test_the_nearest_type_that_fits_stands_in() -> None:
    types = [Facts(depth="none"), Facts(depth="bought"), Facts(depth="bought")]
    told = TypesByFact(types, [[0], [1], [2]], [[0.0, 0.0], [3.0, 0.0], [0.0, 1.0]])
    assert told.apply(said(0, -1, FACT_CELLS), ROWS).type.tolist() == [0, 0, -1, -1, -1, -1, 2, 2]


@pytest.mark.parametrize(
    ("name", "depth", "visits"),
    [
        ("looker", "none", None),
        ("cart-builder", "carted", None),
        ("thrifty-cart-builder", "carted", None),
        ("checkout-leaver", "checkout", None),
        ("one-visit-buyer", "bought", "new"),
        ("returning-buyer", "bought", "returning"),
        ("returner", "none", "returning"),
        ("deep-searcher", "none", None),
    ],
)
def test_a_name_of_the_first_release_claims_facts(name: str, depth: str, visits: str | None) -> None:
    facts = facts_of_name(name)
    assert (facts.depth, facts.visits) == (depth, visits)


@pytest.mark.parametrize("shop", ["puffy", "rees46_multicategory", "diginetica", "software_store_1999"])
def test_no_buyer_of_a_real_shop_gets_a_type_that_denies_a_fact(shop: str, shared_data: Path) -> None:
    rows = after_each_event(shared_data / f"{shop}.parquet", events=8_000)
    encoding = OnnxEncoder(STARTER).encode(rows)
    cells = fact_cells(rows)
    assert (cells > 1).any(), "the slice holds nobody with a cart: it proves nothing"
    facts = [kind.facts or facts_of_name(kind.name) for kind in STARTER.catalogue.types]
    for kind, cell in set(zip(encoding.type.tolist(), cells.tolist(), strict=True)):
        depth, visits = CELLS[cell]
        assert facts[kind].depth == depth, (STARTER.types[kind], depth)
        assert facts[kind].visits in (None, visits)


def after_each_event(path: Path, events: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """The state after each of the first events of a file, as the live path encodes it."""
    table: StateTable[str] = StateTable()
    products = ProductTable()
    batches = open_events(path, identity=PlainIds(), kind="normalised").batches()
    batch = list(itertools.islice(itertools.chain.from_iterable(batches), events))
    slots = [table.slots[e.buyer] if e.buyer in table.slots else table.add(e.buyer) for e in batch]
    return fold_each(table.states, np.array(slots), columns(batch, products), products).vectors
