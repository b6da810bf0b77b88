"""The core of verify on stores that real worker code filled: what is right is equal, whatever happened."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from feature_store.contract.events import record_key
from feature_store.contract.partitions import partition_of
from feature_store.online.keys import OPT_OUTS
from feature_store.online.rows import OnlineRows
from inference.bundles.bundle import load_bundle, starter_bundle_path
from inference.encoders.encoder import Encoder
from inference.encoders.onnx import OnnxEncoder
from ops.history.backfill import backfill
from ops.stack.valkey import Valkey
from tests.inference.made_bundles import make_bundle
from tests.ops.verify.live import MINUTE, Live
from tests.strategies import START

Make = Callable[..., Live]


@pytest.fixture(scope="module")
def starter() -> Encoder:
    return OnnxEncoder(load_bundle(starter_bundle_path()))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    folder = tmp_path_factory.mktemp("bundles") / "other"
    return OnnxEncoder(make_bundle(folder, seed=3, codebook_version="other-1"))


@pytest.fixture
def make(valkey: Valkey, topic_name: str, starter: Encoder) -> Iterator[Make]:
    client = redis.Redis.from_url(valkey.address)
    yield lambda **options: Live(client, topic_name, starter, **options)
    OnlineRows.over(client, topic_name).clear()
    client.close()


def some_traffic(live: Live, events: int = 400, buyers: int = 30) -> None:
    for _ in range(events):
        store = live.roll.choice(["acme", "bravo"])
        live.send(live.event(f"b{live.roll.randrange(buyers)}", store=store))


def assert_equal(live: Live) -> None:
    report = live.verify()
    assert report.equal, report
    assert report.buyers == report.personas > 0
    assert report.ties == 0


def test_what_a_worker_wrote_is_equal(make: Make) -> None:
    live = make()
    some_traffic(live)
    live.run()
    assert_equal(live)
    report = live.verify()
    assert report.windows > 2
    assert report.windows_in_part == 0
    assert report.open_sessions == report.buyers


def test_after_crashes_everywhere_it_is_equal(make: Make, starter: Encoder) -> None:
    live = make()
    some_traffic(live, 600)
    for _ in range(5):
        live.tag(50)
        live.checkpoint()
        live.tag(30)  # said, and readable, but in no checkpoint
        live.start(starter)
    live.run()
    assert_equal(live)


def test_sessions_that_ended_are_gone_from_open_and_announced(make: Make) -> None:
    live = make()
    some_traffic(live, 200)
    live.run(every=20)
    late = [live.event(f"x{n}", timestamp=START + 3 * 60 * MINUTE) for n in range(8)]
    live.now_ms = START + 4 * 60 * MINUTE
    live.send(*late)
    live.run()
    report = live.verify()
    assert report.equal, report
    assert 0 < report.open_sessions < report.buyers


def test_refused_late_and_repeated_records_are_counted_as_the_worker_counts(make: Make) -> None:
    live = make()
    some_traffic(live, 100)
    for number in range(live.partitions):
        live.append(number, b"not json", b"acme|x", START)
    twice = live.event("b1")
    live.send(twice, twice, live.event("b1", timestamp=START - 120 * MINUTE))
    some_traffic(live, 100)
    live.run(every=30)
    assert_equal(live)


def test_a_swap_and_the_way_back_are_equal(make: Make, starter: Encoder, other: Encoder) -> None:
    live = make()
    some_traffic(live)
    live.run()
    for encoder in (other, starter, other):
        live.start(encoder)
        some_traffic(live, 60, buyers=10)
        live.run(every=25)
        assert_equal(live)
    assert live.verify().windows_in_part > 0


def test_a_swap_in_the_middle_of_a_crash_is_equal(make: Make, starter: Encoder, other: Encoder) -> None:
    live = make()
    some_traffic(live, 300)
    live.tag(100)
    live.checkpoint()
    live.tag(60)
    live.start(other)
    live.tag(20)
    live.start(starter)
    live.run()
    assert_equal(live)


def test_a_swap_that_is_half_done_waits_and_is_no_difference(make: Make, other: Encoder) -> None:
    live = make()
    some_traffic(live)
    live.run()
    live.start(other)
    some_traffic(live, 10)
    live.tag()
    live.checkpoint()
    report = live.verify()
    assert report.equal, report
    assert report.awaiting_swap > 0
    assert report.partitions_walking == 2


def test_backfilled_buyers_have_no_persona_until_they_come(make: Make, tmp_path: Path) -> None:
    live = make()
    live.client.flushall()  # the claims of the first worker: a backfill goes before it
    history = [live.event(f"old{n % 20}") for n in range(200)]
    backfill([history], live.rows, tmp_path, live.partitions)
    for event in history:
        live.base[partition_of(record_key(event.store, event.buyer), live.partitions)].append(event)
    live.start(live.encoder)
    some_traffic(live, 100)
    live.send(live.event("old3"))
    live.run()
    report = live.verify()
    assert report.equal, report
    assert report.personas < report.buyers
    live.erase("acme", "b1")
    live.start(live.encoder)
    live.send(live.event("old4"))  # somebody else's erasure is none of theirs
    live.run()
    report = live.verify()
    assert report.equal, report


def test_an_erased_buyer_and_their_new_life_are_equal(make: Make) -> None:
    live = make()
    some_traffic(live, 200)
    live.run()
    live.erase("acme", "b1")
    assert live.verify().equal
    live.send(*(live.event("b1") for _ in range(5)))
    live.run()
    assert_equal(live)


def test_rows_written_ahead_of_the_checkpoint_are_no_difference_but_wait(make: Make) -> None:
    live = make()
    some_traffic(live, 200)
    live.run()
    some_traffic(live, 20)
    live.tag()
    report = live.verify()
    assert report.ahead > 0
    assert report.not_folded == 20
    report.not_folded = 0
    assert report.equal, report


def test_where_retention_cut_the_assignments_rows_are_held_against_the_states(make: Make) -> None:
    live = make()
    some_traffic(live)
    live.run()
    report = live.verify(cut=60)
    assert report.equal, report
    assert report.not_judged > 0


def test_expired_windows_may_be_gone(make: Make) -> None:
    live = make()
    some_traffic(live)
    live.run()
    for name in live.client.scan_iter(match=f"{{{live.topic}:*window*"):
        live.client.delete(name)
    assert live.verify().windows_different > 0
    live.now_ms = int(time.time() * 1000) + 48 * 60 * MINUTE
    assert live.verify().equal


def test_who_has_opted_out_is_left_out_and_a_return_is_a_new_life(make: Make) -> None:
    live = make()
    some_traffic(live)
    live.run()
    live.erase("acme", "b1", "withdrawn")
    some_traffic(live)
    live.run()
    report = live.verify()
    assert (report.equal, report.opted_out) == (True, 1), report
    live.erase("acme", "b1")  # an erasure is no consent
    some_traffic(live)
    live.run()
    assert live.verify().opted_out == 1
    live.erase("acme", "b1", "given")
    some_traffic(live)
    live.run()
    report = live.verify()
    assert (report.equal, report.opted_out) == (True, 0), report


def test_one_event_that_is_folded_after_a_withdrawal_is_a_difference(make: Make) -> None:
    live = make()
    some_traffic(live, 60)
    live.run()
    live.erase("acme", "b1", "withdrawn")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(live.eraser), "_without_opted_out", lambda _self, _owned, messages: list(messages))
        live.send(live.event("b1", store="acme"))
        live.run()
    report = live.verify()
    assert (report.extra > 0, report.after_opt_out > 0, report.equal) == (True, True, False), report
    live.erase("acme", "b1", "given")  # what was assigned stays wrong after the shopper is back
    report = live.verify()
    assert (report.extra, report.after_opt_out > 0, report.equal) == (0, True, False), report


def test_a_lost_row_of_who_has_opted_out_is_found_and_repaired(make: Make) -> None:
    live = make()
    some_traffic(live, 60)
    live.run()
    live.erase("acme", "b1", "withdrawn")
    number = partition_of(record_key("acme", "b1"), live.partitions)
    name = live.rows._keys.of(number) + OPT_OUTS
    kept = live.client.hgetall(name)
    live.client.delete(name)
    live.client.hset(name, mapping={b"acme|b2": b"1"})
    report = live.verify()
    assert (report.opt_outs_wrong, report.equal) == (2, False), report
    assert live.repair() == 2
    assert live.client.hgetall(name) == kept
    assert live.verify().equal
