"""The simulated store answers as a real Valkey does: the same calls on both, with the same results."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from feature_store.errors import OnlineStoreError
from feature_store.online.encoding import Progress, Tagged
from feature_store.online.fence import Checkpoint, Windows
from feature_store.online.keys import PROGRESS
from feature_store.online.rows import OnlineRows
from ops.stack.valkey import Valkey
from tests.simulation.outside import SimClock
from tests.simulation.store import Client, Server

pytestmark = pytest.mark.integration

KEYS = [b"a|%d" % n for n in range(4)]
Call = Callable[[OnlineRows], Any]


@pytest.fixture
def both(valkey: Valkey, topic_name: str) -> Iterator[tuple[OnlineRows, OnlineRows]]:
    real = OnlineRows.over(redis.Redis.from_url(valkey.address), topic_name)
    yield real, OnlineRows.over(Client(Server(SimClock())), topic_name)  # type: ignore[arg-type]
    real.clear()
    real.close()


def answer(call: Call, rows: OnlineRows) -> Any:
    try:
        return call(rows)
    except OnlineStoreError as error:
        return type(error).__name__


def drawn(roll: random.Random, sequence: int) -> Call:
    """A call that may be right, or of an owner who knows less than the store."""
    key, offset = roll.choice(KEYS), roll.randrange(30)
    known = None if sequence == 0 else Progress(sequence, 5, sequence)
    if roll.random() < 0.2:
        known = Progress(99, 5, 99)
    writes = roll.choice((None, 0, 1, 2, 3))
    version = roll.choice((b"v1", b"v2"))

    def checkpoint(rows: OnlineRows) -> Any:
        change = Checkpoint(
            Progress(sequence + 1, 5, sequence + 1),
            rows={key: b"row %d" % offset},
            opened={key: offset},
            closed=[KEYS[offset % 4]],
            erased=[KEYS[(offset + 1) % 4]],
            windows=Windows(1_000, 60, {offset * 1_000: {b"field": b"%d" % offset}}),
            tagged=Tagged(version.decode(), offset % 2 == 0),
            opt_outs={key: b"%d" % offset, KEYS[(offset + 2) % 4]: None},
        )
        return rows.checkpoint(0, change, known, writes)

    def personas(rows: OnlineRows) -> Any:
        body = b'{"codebook_version":"%s","n":%d}' % (version, offset)
        return rows.write_personas(
            {0: [(key, offset, body)]}, b'"codebook_version":"%s"' % version, {0: (known, writes or 0)}
        )

    return roll.choice((checkpoint, personas))


def seen(rows: OnlineRows) -> Any:
    stored = rows.stored(0)
    return (
        stored.progress,
        stored.codebook,
        stored.persona_writes,
        sorted(stored.opt_outs),
        sorted(stored.states),
        sorted(stored.personas),
        sorted(stored.open),
        sorted((window.start, dict(window.fields)) for window in stored.windows),
        stored.unexpected,
        rows.owned_of([0, 1]),
        rows.read_states({0: KEYS, 1: KEYS[:1]}),
        rows.read_personas({0: KEYS}),
        rows.read_opt_outs({0: KEYS, 1: KEYS[:1]}),
        rows.sessions_to_end(0, 20, 2),
        sorted(rows.all_states(0)),
        rows.read_windows([0], 1_000, range(30)),
    )


@pytest.mark.parametrize("seed", range(30))
def test_both_stores_answer_alike(both: tuple[OnlineRows, OnlineRows], seed: int) -> None:
    real, simulated = both
    roll = random.Random(seed)
    for _ in range(40):
        progress = real.progress(0)
        call = drawn(roll, 0 if progress is None else progress.sequence)
        assert answer(call, real) == answer(call, simulated)
        assert seen(real) == seen(simulated)
    assert real.owned_of([0])[0].progress is not None, "nothing was ever written"


def test_an_overtaken_transaction_writes_nothing_in_either(
    both: tuple[OnlineRows, OnlineRows],
) -> None:
    for rows in both:
        rows.checkpoint(0, Checkpoint(Progress(1, 1)), None)
        pipe = rows._nodes.of(b"").pipeline(transaction=True)
        pipe.watch(rows._keys.of(0) + PROGRESS)  # type: ignore[no-untyped-call]
        rows.checkpoint(0, Checkpoint(Progress(2, 2, 1)), Progress(1, 1))
        pipe.multi()
        pipe.set(rows._keys.of(0) + PROGRESS, b"mine")
        with pytest.raises(redis.WatchError):
            pipe.execute()
        assert rows.progress(0) == Progress(2, 2, 1)
