"""Types: planted behaviours come out, under names that a person can read and a retrain keeps."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
import pytest

from feature_store.fold.vector import SCALARS, VECTOR_SIZE
from inference.bundles.catalogue import Catalogue
from training.errors import DatasetError
from training.types.grouping import MAX_TYPES, MIN_TYPES
from training.types.measures import rand_index
from training.types.types import TypeGroups, group_codes

COLUMN = {scalar.name: i for i, scalar in enumerate(SCALARS)}
CODES_EACH = 30
PLANTED: dict[str, dict[str, float]] = {
    # what such a buyer does on average -> what they must be called
    "bouncer": {"events": 1, "sessions": 1, "product_views": 1, "distinct_products": 1},
    "searcher": {"events": 14, "sessions": 1, "searches": 8, "product_views": 5, "distinct_categories": 2},
    "explorer": {
        "events": 16,
        "sessions": 1,
        "product_views": 13,
        "distinct_products": 13,
        "distinct_categories": 9,
    },
    "returner": {
        "events": 9,
        "sessions": 4,
        "product_views": 5,
        "distinct_products": 2,
        "distinct_categories": 1,
    },
    "cart-builder": {"events": 12, "sessions": 1, "product_views": 8, "carts": 2, "cart_value": 80},
    "checkout-leaver": {"events": 14, "sessions": 1, "product_views": 7, "carts": 2, "checkouts": 2},
    "buyer": {"events": 20, "sessions": 1, "product_views": 8, "carts": 2, "checkouts": 3, "purchases": 1},
}
COUNTED = ("sessions", "carts", "checkouts", "purchases")


def planted(
    buyers: int, seed: int, behaviours: Mapping[str, Mapping[str, float]] = PLANTED
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """vectors, codes (30 a behaviour, the last ones unused) and stores of buyers who do as planted."""
    random = np.random.default_rng(seed)
    kind = random.choice(
        len(behaviours), buyers, p=np.linspace(2, 1, len(behaviours)) / (1.5 * len(behaviours))
    )
    vectors = np.zeros((buyers, VECTOR_SIZE), dtype=np.float32)
    for index, does in enumerate(behaviours.values()):
        mine = np.flatnonzero(kind == index)
        for name, mean in does.items():
            noise = (
                np.ones(len(mine)) if name in COUNTED or mean <= 1 else random.lognormal(0, 0.15, len(mine))
            )
            vectors[mine, COLUMN[name]] = np.round(mean * noise)
    return (
        vectors,
        kind * CODES_EACH + random.integers(0, CODES_EACH, buyers),
        random.choice(["a", "b"], buyers),
    )


def codebook(order: np.ndarray | None = None) -> np.ndarray:
    """Codes of one behaviour lie together; 210 to 255 are unused, near the first behaviour."""
    vectors = np.random.default_rng(1).normal(0, 0.1, (256, 96)).astype(np.float32)
    for index in range(len(PLANTED)):
        vectors[index * CODES_EACH : (index + 1) * CODES_EACH, index] += 5.0
    vectors[len(PLANTED) * CODES_EACH :, 0] += 5.0
    return vectors if order is None else vectors[np.argsort(order)]


def grouped(seed: int = 0, previous: Catalogue | None = None, **changes: Mapping[str, float]) -> TypeGroups:
    vectors, codes, stores = planted(
        6000, seed, PLANTED | {k.replace("_", "-"): v for k, v in changes.items()}
    )
    return group_codes(vectors, codes, stores, codebook(), seed=seed, previous=previous)


def as_catalogue(groups: TypeGroups) -> Catalogue:
    return Catalogue(types=groups.types, scale=groups.scale)


@pytest.fixture(scope="module")
def groups() -> TypeGroups:
    return grouped()


def test_planted_behaviours_become_types_with_fitting_names(groups: TypeGroups) -> None:
    truth = np.repeat(np.arange(len(PLANTED)), CODES_EACH)
    assert rand_index(truth, groups.type_of_code[: len(truth)], np.ones(len(truth))) == 1.0
    for index, name in enumerate(PLANTED):
        assert groups.types[groups.type_of_code[index * CODES_EACH]].name == name
    assert MIN_TYPES <= len(groups.types) <= MAX_TYPES


def test_every_code_has_one_type_and_unused_ones_that_of_the_nearest(groups: TypeGroups) -> None:
    assert sorted(code for kind in groups.types for code in kind.codes) == list(range(256))
    for index, kind in enumerate(groups.types):
        assert (groups.type_of_code[list(kind.codes)] == index).all()
    assert (groups.type_of_code[210:] == groups.type_of_code[0]).all()


def test_shares_fall_and_sum_to_one(groups: TypeGroups) -> None:
    shares = [kind.share for kind in groups.types]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1, abs=1e-4)
    assert sum(kind.buyers for kind in groups.types) == 6000


def test_texts_carry_the_types_own_figures(groups: TypeGroups) -> None:
    texts = {kind.name: (kind.title, kind.description, kind.rule) for kind in groups.types}
    assert texts["cart-builder"][0] == "Cart builder"
    assert "100 % reach a cart and 0 % buy" in texts["cart-builder"][1]
    assert "many searches" in texts["searcher"][2]
    assert "8.0 searches" in texts["searcher"][2] or "8.1 searches" in texts["searcher"][2]
    assert texts["buyer"][2].split(";")[0].endswith("always buys")


def test_the_same_seed_gives_the_same_types(groups: TypeGroups) -> None:
    again = grouped()
    assert (again.type_of_code == groups.type_of_code).all()
    assert again.types == groups.types
    assert again.choice == groups.choice


def test_the_numbers_of_the_codes_do_not_matter(groups: TypeGroups) -> None:
    vectors, codes, stores = planted(6000, 0)
    order = np.random.default_rng(9).permutation(256)
    shuffled = group_codes(vectors, order[codes], stores, codebook(order), seed=0)
    assert (shuffled.type_of_code[order[codes]] == groups.type_of_code[codes]).all()
    assert [kind.rule for kind in shuffled.types] == [kind.rule for kind in groups.types]


def test_a_code_of_one_odd_buyer_goes_with_its_neighbours() -> None:
    vectors, codes, stores = planted(6000, 0)
    lonely = codes == 5
    codes[np.flatnonzero(lonely)[1:]] = 6
    odd = np.flatnonzero(lonely)[0]
    vectors[odd, COLUMN["events"]] = 4  # a bouncer who clicked a little longer, once
    vectors[odd, COLUMN["product_views"]] = 4
    types = group_codes(vectors, codes, stores, codebook(), seed=0).type_of_code
    assert types[5] == types[6]


def test_names_stay_when_other_buyers_behave_the_same(groups: TypeGroups) -> None:
    renamed = Catalogue(
        types=tuple(msgspec.structs.replace(kind, name=f"old-{kind.name}") for kind in groups.types),
        scale=groups.scale,
    )
    later = grouped(seed=7, previous=renamed)
    assert {kind.name for kind in later.types} == {kind.name for kind in renamed.types}
    assert set(later.kept) == {kind.name for kind in later.types}
    assert later.choice["as_before"]
    assert later.scale == renamed.scale, "profiles of both are told in the same units"
    for index, name in enumerate(PLANTED):
        assert later.types[later.type_of_code[index * CODES_EACH]].name == f"old-{name}"


def test_another_behaviour_gets_another_name(groups: TypeGroups) -> None:
    heavy = {"events": 60, "sessions": 1, "product_views": 50, "searches": 40, "distinct_categories": 12}
    later = grouped(seed=7, previous=as_catalogue(groups), searcher=heavy)
    name = later.types[later.type_of_code[CODES_EACH]].name
    assert name.endswith("-searcher"), "a retired name is not given to other buyers"
    assert set(later.kept) == set(PLANTED) - {"searcher"}


def test_a_catalogue_without_profiles_keeps_no_names(groups: TypeGroups) -> None:
    bare = Catalogue(types=tuple(type(kind)(name=kind.name, codes=kind.codes) for kind in groups.types))
    assert grouped(previous=bare).kept == {}


def test_buyers_who_are_all_alike_make_types_without_warnings() -> None:
    vectors = np.zeros((500, VECTOR_SIZE), dtype=np.float32)
    vectors[:, COLUMN["events"]] = 1
    codes = np.arange(500) % 256
    groups = group_codes(vectors, codes, np.full(500, "s"), codebook(), seed=0)
    assert len({kind.name for kind in groups.types}) == len(groups.types) >= 1
    assert sorted(code for kind in groups.types for code in kind.codes) == list(range(256))


def test_one_used_code_is_one_type() -> None:
    vectors, _, stores = planted(50, 0)
    groups = group_codes(vectors, np.full(50, 9), stores, codebook(), seed=0)
    assert [kind.codes for kind in groups.types] == [tuple(range(256))]


def test_no_buyers() -> None:
    empty = np.empty(0, dtype=np.int64)
    with pytest.raises(DatasetError, match="no buyer"):
        group_codes(np.empty((0, VECTOR_SIZE), np.float32), empty, empty, codebook(), seed=0)
