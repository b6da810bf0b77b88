"""The storefront: gymnasium's own checker, pages as a shop's, the same seed the same pages."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st

from tests.training.persona_llm.shops import event, shopping_trip
from training.errors import DatasetError
from training.persona_llm.storefront.actions import ACTIONS, ADD, LEAVE, NUMBER, steps_of
from training.persona_llm.storefront.store_model import StoreModel
from training.persona_llm.storefront.storefront import ENVIRONMENT, STEP_LIMIT, Goal, Storefront, parse_action


def model() -> StoreModel:
    chairs = [
        event("product_view", 0, product="chair-1", category="home/chairs", brand="höga"),
        event("remove_from_cart", 1, product="chair-1"),
        event("product_view", 2, product="lamp-1", category="home/lamps"),
    ]
    cart = [event("add_to_cart", 3), event("remove_from_cart", 4)]
    trips = [steps_of(shopping_trip(start=start)) for start in range(3)] + [steps_of(chairs + cart)] * 2
    return StoreModel.learn("acme", trips, seed=0)


def play(shop: Storefront, *actions: str) -> tuple[str, float, bool, bool, dict[str, object]]:
    for action in actions:
        result = shop.step(np.int64(NUMBER[action]))
    return result


def test_gymnasium_accepts_it() -> None:
    check_env(gymnasium.make(ENVIRONMENT, model=model()).unwrapped)


def test_a_shopper_finds_looks_and_buys() -> None:
    shop = Storefront(model())
    page, _ = shop.reset(seed=1, options={"goal": Goal("Buy something.", "purchase")})
    assert "goal: Buy something." in page
    page, reward, done, _, info = play(shop, "home", "product first", "product like", "product back", "add")
    assert (reward, done, info["error"]) == (0.0, False, None)
    assert "cart: 1" in page
    _, reward, done, _, _ = play(shop, "purchase")
    assert (reward, done) == (1.0, False)
    assert play(shop, LEAVE)[2]


def test_a_goal_is_rewarded_once() -> None:
    shop = Storefront(model())
    shop.reset(seed=1, options={"goal": Goal("Fill a cart.", ADD)})
    assert play(shop, "home", "product first", ADD)[1] == 1.0
    assert play(shop, ADD)[1] == 0.0


@pytest.mark.parametrize(
    ("actions", "error"),
    [
        (["search"], "no link to search"),
        (["product back"], "no such product here: back"),
        (["remove"], "The cart is empty"),
        (["home", "product first", "checkout"], "no link to checkout"),
    ],
)
def test_what_the_page_does_not_have_is_refused_and_changes_nothing(actions: list[str], error: str) -> None:
    shop = Storefront(model())
    shop.reset(seed=1)
    if actions[:-1]:
        play(shop, *actions[:-1])
    before = shop.valid_actions()
    page, reward, done, truncated, info = play(shop, actions[-1])
    assert error in str(info["error"])
    assert f"error: {info['error']}" in page
    assert (reward, done, truncated, info["step"]) == (0.0, False, False, None)
    assert shop.valid_actions() == before


def test_the_page_says_which_item_is_behind_a_link_and_opens_that_one() -> None:
    shop = Storefront(model())
    shop.reset(seed=4)
    page = play(shop, "home")[0]
    line = next(line for line in page.splitlines() if line.startswith("- product first"))
    _, _, _, _, info = play(shop, "product first")
    assert info["step"].item.product_id in line  # type: ignore[attr-defined]


def test_a_page_is_plain_ascii() -> None:
    shop = Storefront(model())
    for seed in range(20):
        shop.reset(seed=seed)
        assert play(shop, "home", "product first")[0].isascii()


def test_it_ends_at_the_step_limit() -> None:
    shop = Storefront(model())
    shop.reset(seed=1)
    ended = [shop.step(np.int64(NUMBER["home"]))[3] for _ in range(STEP_LIMIT)]
    assert ended == [False] * (STEP_LIMIT - 1) + [True]


@given(st.integers(0, 1_000), st.lists(st.sampled_from(range(len(ACTIONS))), max_size=20))
def test_seed_and_actions_decide_everything(seed: int, actions: list[int]) -> None:
    shops = [Storefront(model()), Storefront(model())]
    pages = [[shop.reset(seed=seed)] + [shop.step(np.int64(action)) for action in actions] for shop in shops]
    assert pages[0] == pages[1]


@given(st.integers(0, 1_000), st.lists(st.integers(0, 1_000), max_size=30))
def test_a_valid_action_never_errs(seed: int, choices: list[int]) -> None:
    shop = Storefront(model())
    shop.reset(seed=seed)
    for choice in choices:
        valid = shop.valid_actions()
        _, _, done, _, info = play(shop, valid[choice % len(valid)])
        assert info["error"] is None
        if done:
            break


@pytest.mark.parametrize(
    ("text", "action"),
    [("add", "add"), ("- Product  like: lamp-2 (home/lamps)\n", "product like"), ("LEAVE", "leave")],
)
def test_an_action_is_read_as_people_and_models_write_it(text: str, action: str) -> None:
    assert parse_action(text) == NUMBER[action]


def test_anything_else_is_no_action() -> None:
    assert parse_action("sudo rm -rf /") is None
    assert parse_action("") is None


def test_a_store_without_sessions_is_a_clear_error() -> None:
    with pytest.raises(DatasetError, match="no training session"):
        StoreModel.learn("acme", [], seed=0)


@pytest.mark.parametrize(
    ("action", "offered"),
    [("home", True), ("purchase", True), ("leave", True), ("search", False), ("checkout", False)],
)
def test_a_store_says_whether_it_offers_an_action(action: str, offered: bool) -> None:
    assert model().offers(action) is offered


def test_a_link_of_a_page_that_nothing_leads_to_is_not_offered() -> None:
    links = {"entrance": ["home"], "home": ["add", "home", "leave"], "checkout": ["purchase"]}
    store = StoreModel(store="acme", items=[], views=[], links=links, dwells={})
    assert store.offers("add")
    assert not store.offers("purchase")
