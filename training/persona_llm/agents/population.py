"""A population of shopping agents: who comes to a store, for what, when, and what they left behind."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from feature_store.contract.events import Event
from feature_store.online.assignment import token
from feature_store.workspace import publish, workspace
from training.errors import DatasetError
from training.persona_llm.agents.agents import ENDS, Run, Shopper
from training.persona_llm.storefront.actions import ADD, CHECKOUT, PURCHASE
from training.persona_llm.storefront.storefront import Goal
from training.persona_llm.traces.events import events_of
from training.persona_llm.traces.goals import FULFILLED_BY, Outcome, explicit_goal, neutral_goal
from training.persona_llm.traces.step_rows import step_rows, steps_from
from training.persona_llm.traces.traces import NO_CODE

GoalName = Literal["neutral", "look", "cart", "checkout", "purchase"]
GOALS: Final[dict[GoalName, Outcome | None]] = {
    "neutral": None,
    "look": "D",
    "cart": "C",
    "checkout": "B",
    "purchase": "A",
}
"""What a population is asked for; neutral says nothing of intent."""
DAY_MS: Final = 86_400_000
_ABOUT: Final = b"simpersona"
_AT_ONCE: Final = 1_000


class Visit(NamedTuple):
    """A simulated session: its run, the shopper's pseudonym, and when it began (ms since the epoch, UTC)."""

    run: Run
    buyer: str
    started: int


def shoppers(codes: NDArray[np.int64], store: str, goal: GoalName, seed: int) -> list[Shopper]:
    """One shopper a code (int64 [n]) with a goal in words of its own."""
    random = np.random.default_rng([seed, 1])
    asked = GOALS[goal]
    return [
        Shopper(
            store,
            code,
            Goal(neutral_goal(random), None)
            if asked is None
            else Goal(explicit_goal(asked, (), random), FULFILLED_BY[asked]),
        )
        for code in codes.tolist()
    ]


def played(
    crowd: Sequence[Shopper],
    play: Callable[[Sequence[Shopper], int], list[Run]],
    seed: int,
    done: Callable[[int], object],
) -> list[Run]:
    """Let shoppers shop, some at a time, each part with a seed of its own; `done` is told how many went."""
    runs: list[Run] = []
    for start in range(0, len(crowd), _AT_ONCE):
        part = int(np.random.SeedSequence([seed, start]).generate_state(1)[0])
        runs += play(crowd[start : start + _AT_ONCE], part)
        done(len(runs))
    return runs


def visits(runs: Sequence[Run], *, seed: int, ends: int, salt: str) -> list[Visit]:
    """Give each run a buyer of its own and a start in the day before `ends` (ms), in the order of runs.

    salt: tells populations apart, so that no two share a buyer.
    """
    starts = ends - np.random.default_rng([seed, 2]).integers(1, DAY_MS, size=len(runs))
    return [Visit(run, _pseudonym(f"{salt}|{seed}|{i}"), int(starts[i])) for i, run in enumerate(runs)]


def _pseudonym(of: str) -> str:
    return f"sim-{hashlib.sha256(of.encode()).hexdigest()[:28]}"


def events_in_order(came: Sequence[Visit], currency: str | None) -> list[Event]:
    """The events of all visits as they would have arrived."""
    events = [
        event
        for run, buyer, started in came
        for event in events_of(
            run.steps, store=run.shopper.store, buyer=buyer, started=started, currency=currency
        )
    ]
    return sorted(events, key=lambda event: event.timestamp)


def describe_runs(runs: Sequence[Run]) -> dict[str, Any]:
    """How runs ended (counts of all ends), and what they did: shares of runs, and means per run.

    failed: the share that did not end as "done", as in the evaluation and the gates.
    """
    ends = Counter(run.end for run in runs)
    did = {name: np.mean([name in run.actions for run in runs]) for name in (ADD, CHECKOUT, PURCHASE)}
    return {
        "ends": {end: ends[end] for end in ENDS},
        "failed": round(1 - ends["done"] / len(runs), 4),
        "share_that_did": {name: round(float(share), 4) for name, share in did.items()},
        "actions_a_run": round(float(np.mean([len(run.steps) for run in runs])), 2),
        "refused_a_run": round(float(np.mean([run.refused for run in runs])), 3),
        "codes": len({run.shopper.code for run in runs}),
    }


def save_visits(came: Sequence[Visit], about: dict[str, Any], path: Path) -> None:
    """Write visits as parquet, one row each, whole or not at all; `about` goes into the file's metadata.

    Raises:
        OutputError: the disk is full, or `path` cannot be written.
    """
    rows = [
        {
            "store": run.shopper.store,
            "buyer": buyer,
            "started": started,
            "code": run.shopper.code,
            "token": None if run.shopper.code == NO_CODE else token(run.shopper.code),
            "goal": run.shopper.goal.text,
            "fulfilled_by": run.shopper.goal.fulfilled_by,
            "end": run.end,
            "refused": run.refused,
            "plan": run.plan,
            "steps": step_rows(run.steps),
        }
        for run, buyer, started in came
    ]
    table = pa.Table.from_pylist(rows).replace_schema_metadata({_ABOUT: json.dumps(about).encode()})
    with workspace(path) as work:
        pq.write_table(table, work / "visits.parquet", compression="zstd")
        publish(work / "visits.parquet", path)


def load_visits(path: Path) -> tuple[list[Visit], dict[str, Any]]:
    """Read what save_visits wrote.

    Raises:
        DatasetError: the file cannot be read, or is something else.
    """
    try:
        table = pq.read_table(path)
        about: dict[str, Any] = json.loads(table.schema.metadata[_ABOUT])
        came = [_visit(row) for row in table.to_pylist()]
    except (OSError, pa.ArrowException, LookupError, TypeError, ValueError) as error:
        raise DatasetError(
            f"{path} holds no simulated sessions; make it by `simpersona llm simulate`"
        ) from error
    return came, about


def _visit(row: dict[str, Any]) -> Visit:
    shopper = Shopper(row["store"], row["code"], Goal(row["goal"], row["fulfilled_by"]))
    return Visit(
        Run(shopper, row["end"], steps_from(row["steps"]), row["refused"], row["plan"]),
        row["buyer"],
        row["started"],
    )
