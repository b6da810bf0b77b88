"""A history folded shard by shard, from memory or from disk, is the history folded at once."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.contract.events import Event
from feature_store.fold.state import pack_states
from feature_store.history.offline_fold import BuyerKey, fold_history
from feature_store.history.shards import Limits, Shards, fold_shards, read_shard, shard_events
from tests.strategies import START, cuts, event, histories

LITTLE = Limits(events=3, buyers=2, products=2)


def states(shards: Shards, prefix: int | None = None) -> dict[BuyerKey, bytes]:
    found: dict[BuyerKey, bytes] = {}
    for folded in fold_shards(shards, prefix=prefix):
        rows = pack_states(folded.states, np.arange(len(folded.buyers)))
        assert not found.keys() & folded.buyers
        found.update(zip(folded.buyers, rows, strict=True))
    return found


def crowd(buyers: int, events: int) -> list[Event]:
    random = np.random.default_rng(buyers)
    return [
        event(
            event_id=f"e{i}",
            store=f"s{buyer % 3}",
            buyer=f'b{buyer}|"é\n',
            timestamp=START + int(random.integers(0, 3_000_000)),
            type=("product_view", "add_to_cart", "purchase")[i % 3],
            product_id=f"p{int(random.integers(0, 40))}",
            price=float(i % 7),
        )
        for i, buyer in enumerate(random.integers(0, buyers, events).tolist())
    ]


@given(
    st.data(),
    st.integers(1, 5),
    st.none() | st.integers(1, 4),
    st.builds(Limits, st.integers(0, 70), st.integers(0, 4), st.integers(0, 8)),
)
def test_any_number_of_shards_gives_the_states_of_one_fold(
    data: st.DataObject, shards: int, prefix: int | None, limits: Limits
) -> None:
    events = data.draw(histories())
    with TemporaryDirectory() as folder:
        split = shard_events(cuts(data.draw, events), Path(folder) / "shards", shards=shards, limits=limits)
        assert states(split, prefix) == fold_history([events], prefix=prefix).states()
        assert split.events == len(events)


@pytest.mark.parametrize("limits", [Limits(), Limits(events=100), Limits(buyers=50), Limits(products=10)])
def test_whatever_memory_runs_out_of_first(tmp_path: Path, limits: Limits) -> None:
    events = crowd(200, 3_000)
    batches = [events[at : at + 70] for at in range(0, len(events), 70)]
    split = shard_events(batches, tmp_path / "shards", shards=7, limits=limits)
    assert states(split) == fold_history(batches).states()
    assert len(split.paths) == (0 if limits == Limits() else 7)


def test_a_small_history_never_touches_the_disk_and_keeps_the_order_of_arrival(tmp_path: Path) -> None:
    events = crowd(30, 200)
    split = shard_events([events], tmp_path / "shards")
    assert not (tmp_path / "shards").exists()
    assert list(states(split)) == fold_history([events]).buyers


def test_vectors_and_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feature_store.history.shards.GROUP_BUYERS", 8)
    events = crowd(60, 600)
    history = fold_history([events])
    expected = dict(zip(history.buyers, history.vectors(), strict=True))
    groups = list(fold_shards(shard_events([events], tmp_path / "shards", shards=2, limits=LITTLE)))
    assert max(len(group.buyers) for group in groups) == 8
    for group in groups:
        wanted = np.stack([expected[buyer] for buyer in group.buyers])
        assert np.array_equal(group.vectors(), wanted)


def test_a_shard_is_a_task_of_its_own(tmp_path: Path) -> None:
    """What another process or machine needs is the folder's path."""
    events = crowd(60, 600)
    split = shard_events([events], tmp_path / "shards", shards=3, limits=LITTLE)
    one = states(Shards([], read_shard(split.paths[1]), 0))
    everyone = fold_history([events]).states()
    assert 0 < len(one) < len(everyone)
    assert one.items() <= everyone.items()


def test_no_event_and_no_buyer(tmp_path: Path) -> None:
    assert states(shard_events([], tmp_path / "a")) == {}
    assert states(shard_events([[event()]], tmp_path / "b", shards=4, limits=Limits(events=0))).keys() == {
        ("acme", "b1")
    }
