"""External models over HTTP, against a real server: one rewrites goals, one plays the storefront."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from inference.bundles.bundle import load_bundle, starter_bundle_path
from tests.chat_server import chat_server
from tests.training.persona_llm.models import history
from tests.training.persona_llm.storefront.test_storefront import model
from training.errors import ChatError
from training.persona_llm.agents.agents import REFUSED_LIMIT, Run, Shopper
from training.persona_llm.agents.chat import Chat, ChatSettings
from training.persona_llm.agents.chat_agent import play_by_chat, profiles_of
from training.persona_llm.storefront.storefront import Goal
from training.persona_llm.traces.prepare import prepare
from training.persona_llm.traces.rewriting import MAX_GOAL, chat_rewriter
from training.persona_llm.traces.traces import load_traces, make_traces

Asked = list[tuple[dict[str, Any], str | None]]
BUY = Goal("Buy something.", "purchase")


def first_link(*wanted: str) -> Any:
    """An agent that takes the first of these links that it has not taken, if the page has it."""
    left = list(wanted)

    def answer(body: dict[str, Any]) -> str:
        page = body["messages"][-1]["content"]
        return f"- {left.pop(0)}" if left and f"- {left[0]}" in page else "leave"

    return answer


def play(url: str, **settings: Any) -> Run:
    with Chat(url, ChatSettings(**settings)) as chat:
        (run,) = play_by_chat(chat, {"acme": model()}, [Shopper("acme", 5, BUY)], {5: "A quick buyer."}, 0)
    return run


def test_an_external_model_shops_as_it_is_told() -> None:
    asked: Asked = []
    with chat_server(first_link("home", "product first", "add", "purchase"), asked) as url:
        run = play(url, model="their-model", key=SecretStr("secret"))
    assert (run.end, run.actions) == ("done", ["home", "product first", "add", "purchase", "leave"])
    body, key = asked[0]
    assert (body["model"], key) == ("their-model", "Bearer secret")
    system = body["messages"][0]["content"]
    assert "A quick buyer." in system
    assert "Buy something." in system


@pytest.mark.parametrize(("said", "end"), [("I would rather not say.", "invalid"), ("search", "invalid")])
def test_what_is_no_action_or_not_on_the_page_ends_the_run(said: str, end: str) -> None:
    with chat_server(lambda body: said, []) as url:
        run = play(url)
    assert (run.end, run.refused, run.steps) == (end, REFUSED_LIMIT, [])


def test_a_server_that_refuses_or_is_away_is_one_line() -> None:
    with chat_server(lambda body: 500, []) as url, pytest.raises(ChatError, match=r"did not answer: .*500"):
        play(url)
    with pytest.raises(ChatError, match="did not answer"):
        play(url)


def test_every_code_of_a_type_has_its_profile() -> None:
    catalogue = load_bundle(starter_bundle_path()).catalogue
    profiles = profiles_of(catalogue)
    kind = catalogue.types[0]
    assert all(kind.title in profiles[code] for code in kind.codes)


def test_goals_are_said_anew_once_each_and_keep_what_they_fulfil(tmp_path: Path) -> None:
    asked: Asked = []
    with (
        chat_server(lambda body: f"Please: {body['messages'][-1]['content']}", asked) as url,
        Chat(url, ChatSettings()) as chat,
    ):
        manifest = prepare(
            [history(20)],
            load_bundle(starter_bundle_path()),
            tmp_path / "traces",
            sources=[],
            command="test",
            rewriter=chat_rewriter(chat),
        )
    traces, _ = load_traces(tmp_path / "traces")
    goals = {goal for t in traces for goal in (t.neutral, t.explicit, t.wrong)}
    assert all(goal.startswith("Please: ") for goal in goals)
    assert manifest["rewritten"] == {"goals": len(asked), "taken": len(asked)}
    assert len(asked) == len(goals)
    plain = make_traces([history(20)], lambda vectors: vectors[:, 0].astype("int64"), min_events=3, seed=0)
    assert {t.buyer: f"Please: {t.neutral}" for t in plain} == {t.buyer: t.neutral for t in traces}


@pytest.mark.parametrize("said", ["", "two\nlines", "x" * (MAX_GOAL + 1)])
def test_an_answer_that_is_no_goal_leaves_the_template(said: str, tmp_path: Path) -> None:
    manifest = prepare(
        [history(20)],
        load_bundle(starter_bundle_path()),
        tmp_path / "traces",
        sources=[],
        command="test",
        rewriter=lambda goal: said,
    )
    assert manifest["rewritten"]["taken"] == 0
