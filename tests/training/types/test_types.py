"""Types: what they claim is true of every buyer, and tiers say what comes."""

from __future__ import annotations

import numpy as np
import pytest

from feature_store.fold.funnel import DEPTHS, FACT_CELLS, VISITS, fact_cells
from feature_store.fold.vector import SCALARS, VECTOR_SIZE
from inference.encoders.graph import CODES
from tests.training.conftest import HOUR, whole_histories
from training.encoder.dataset import BuyerVectors
from training.types.names import BRIEF, KEEN
from training.types.types import TypeGroups, group_codes

COLUMN = {scalar.name: i for i, scalar in enumerate(SCALARS)}
CODES_EACH = CODES // FACT_CELLS
STEPS = ["carts", "checkouts", "purchases"]
CELL_OF_CODE = np.repeat(np.arange(FACT_CELLS), CODES_EACH)
CHANCE = {0: 0.02, 1: 0.2, 2: 0.6}
"""By code modulo 3: the chance that a session of a looker with it goes deeper."""


def planted(buyers: int, seed: int = 0) -> tuple[BuyerVectors, np.ndarray]:
    """Buyers of all fact cells, each with the state after 3 events (a code of its cell) and the whole
    history, in which some lookers put something into a cart; and the codes of all rows."""
    random = np.random.default_rng(seed)
    cell = random.integers(0, FACT_CELLS, buyers)
    early = np.zeros((buyers, VECTOR_SIZE), dtype=np.float32)
    early[:, COLUMN["events"]] = 3.0
    early[:, COLUMN["sessions"]] = 1 + cell % len(VISITS)
    for depth, name in enumerate(STEPS, start=1):
        early[:, COLUMN[name]] = cell // len(VISITS) == depth
    code = cell * CODES_EACH + random.integers(0, CODES_EACH, buyers)
    ends = early.copy()
    goes = random.random(buyers) < np.array([CHANCE[k % 3] for k in range(CODES)])[code]
    ends[goes & (cell < len(VISITS)), COLUMN["carts"]] = 1.0
    ends[:, COLUMN["events"]] = 6.0
    end_code = fact_cells(ends) * CODES_EACH + code % CODES_EACH
    keys = [("ab"[i % 2], str(i)) for i in range(buyers)]
    rows, time = np.tile(np.arange(buyers), 2), np.zeros(2 * buyers, dtype=np.int64)
    time[:2] = HOUR
    data = whole_histories(keys, np.concatenate([ends, early]))._replace(
        buyer=rows,
        whole=np.repeat([True, False], buyers),
        session_end=rows,
        position=np.repeat([-1, 3], buyers),
        time=time,
        next_session_end=np.full(2 * buyers, -1),
    )
    return data, np.concatenate([end_code, code])


def grouped(buyers: int = 24_000, seed: int = 0) -> TypeGroups:
    data, codes = planted(buyers, seed)
    return group_codes(data, np.arange(len(codes)), codes, CELL_OF_CODE)


@pytest.fixture(scope="module")
def groups() -> TypeGroups:
    return grouped()


def test_names_are_by_rule(groups: TypeGroups) -> None:
    assert [kind.name for kind in groups.types] == [
        *(f"{tier}-{visits}-looker" for visits in VISITS for tier in ("brief", "steady", "keen")),
        *(f"{visits}-{noun}" for noun in ("carter", "checkout-leaver") for visits in VISITS),
        "one-visit-buyer",
        "returning-buyer",
    ]


def test_every_code_has_one_type_whose_facts_are_its_cells(groups: TypeGroups) -> None:
    assert sorted(code for kind in groups.types for code in kind.codes) == list(range(CODES))
    for index, kind in enumerate(groups.types):
        assert (groups.type_of_code[list(kind.codes)] == index).all()
        assert kind.facts is not None
        for code in kind.codes:
            depth, visits = divmod(int(CELL_OF_CODE[code]), len(VISITS))
            assert (kind.facts.depth, kind.facts.visits) == (DEPTHS[depth], VISITS[visits])


def test_tiers_say_what_comes(groups: TypeGroups) -> None:
    lookers = len(VISITS) > CELL_OF_CODE
    tier = np.array([kind.name.split("-")[0] for kind in groups.types])[groups.type_of_code]
    for index, word in enumerate(("brief", "steady", "keen")):
        assert set(tier[lookers & (np.arange(CODES) % 3 == index)]) == {word}
    assert (groups.lift[lookers & (tier == "brief")] < BRIEF).all()
    assert (groups.lift[lookers & (tier == "keen")] >= KEEN).all()


def test_other_buyers_who_behave_alike_keep_their_types(groups: TypeGroups) -> None:
    later = grouped(seed=7)
    assert [kind.name for kind in later.types] == [kind.name for kind in groups.types]
    assert (later.type_of_code == groups.type_of_code).mean() > 0.95


def test_a_store_that_sells_more_is_no_keener(groups: TypeGroups) -> None:
    """Twice as many rows of store b go deeper, whatever the code: that is the store, not the code."""
    data, codes = planted(6000)
    n = len(data.buyers)
    eager = np.random.default_rng(3).random(n) < np.array([0.0, 0.4])[np.arange(n) % 2]
    data.vectors[:n][eager & (fact_cells(data.vectors[n:]) < len(VISITS)), COLUMN["carts"]] = 1.0
    here = codes.copy()
    here[n:] = np.where(fact_cells(data.vectors[n:]) < len(VISITS), np.arange(n) % 2, here[n:])
    lift = group_codes(data, np.arange(2 * n), here, CELL_OF_CODE).lift
    assert lift[0] == pytest.approx(lift[1], abs=0.15)


def test_shares_are_of_whole_histories(groups: TypeGroups) -> None:
    data, codes = planted(24_000)
    assert sum(kind.share for kind in groups.types) == pytest.approx(1, abs=1e-4)
    for index, kind in enumerate(groups.types):
        assert kind.buyers == (groups.type_of_code[codes[data.whole]] == index).sum()


def test_texts_say_the_facts_and_the_figures(groups: TypeGroups) -> None:
    texts = {kind.name: (kind.title, kind.description, kind.rule) for kind in groups.types}
    assert texts["keen-new-looker"][0] == "Keen new looker"
    assert "at least 1.5 times as likely" in texts["keen-new-looker"][1]
    assert texts["returning-buyer"][1] == "They came back and have bought."
    assert "went deeper" in texts["steady-new-looker"][2]
    assert "went deeper" not in texts["one-visit-buyer"][2]


def test_where_nothing_is_known_of_what_comes_lookers_are_steady() -> None:
    vectors = np.zeros((50, VECTOR_SIZE), dtype=np.float32)
    data = whole_histories([("s", str(i)) for i in range(50)], vectors)
    groups = group_codes(data, np.arange(50), np.zeros(50, dtype=np.int64), CELL_OF_CODE)
    assert [kind.name for kind in groups.types][:2] == ["steady-new-looker", "steady-returning-looker"]
    assert len(groups.types) == 8
