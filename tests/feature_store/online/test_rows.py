"""Rows, fence and personas on a real Valkey."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from feature_store.errors import FencedError, OnlineStoreError, PartitionCountError
from feature_store.online.encoding import Progress, RowHeader, Tagged, pack_row
from feature_store.online.fence import Checkpoint
from feature_store.online.rows import OnlineRows, Owned
from ops.stack.valkey import Valkey

pytestmark = pytest.mark.integration
HEADER = RowHeader(since_offset=3, last_offset=9, code=17, type=-1, band=0, version=5)


@pytest.fixture
def rows(valkey: Valkey, topic_name: str) -> Iterator[OnlineRows]:
    found = OnlineRows(valkey.address, topic_name)
    yield found
    found.clear()
    found.close()


def test_a_checkpoint_writes_rows_progress_and_open_sessions_together(rows: OnlineRows) -> None:
    row = pack_row(HEADER, b"state")
    rows.checkpoint(2, Checkpoint(Progress(10, 99), rows={b"a|x": row}, opened={b"a|x": 50}), None)
    assert rows.progress(2) == Progress(10, 99)
    assert rows.read_states({2: [b"a|x", b"a|y"]}) == {2: [row, None]}
    assert rows.sessions_to_end(2, 51, 10) == [b"a|x"]
    assert rows.sessions_to_end(2, 50, 10) == []
    rows.checkpoint(2, Checkpoint(Progress(11, 99), closed=[b"a|x"]), Progress(10, 99))
    assert rows.sessions_to_end(2, 51, 10) == []


def test_a_new_life_that_begins_in_the_checkpoint_of_the_erasure_stays(rows: OnlineRows) -> None:
    first, new = pack_row(HEADER, b"state"), pack_row(HEADER._replace(since_offset=12), b"new")
    both = [b"a|x", b"a|y"]
    begin = Checkpoint(Progress(10, 99), rows=dict.fromkeys(both, first), opened=dict.fromkeys(both, 50))
    rows.checkpoint(2, begin, None)
    persona = b'{"codebook_version":"v1"}'
    for writes, (key, offset) in enumerate(((b"a|x", 9), (b"a|y", 9), (b"a|x", 12))):
        rows.write_personas({2: [(key, offset, persona)]}, b"v1", {2: (Progress(10, 99), writes)})
    change = Checkpoint(Progress(13, 99), rows={b"a|x": new}, opened={b"a|x": 60}, erased=both)
    rows.checkpoint(2, change, Progress(10, 99))
    assert rows.read_states({2: both}) == {2: [new, None]}
    assert [row is None for row in rows.read_personas({2: both})[2]] == [False, True]
    assert rows.sessions_to_end(2, 99, 10) == [b"a|x"]


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (None, Progress(1, 1)),
        (Progress(5, 1), Progress(4, 1)),
        (Progress(4, 1), Progress(5, 1)),
        (Progress(1, 1), None),
    ],
)
def test_the_fence_refuses_any_other_progress(
    rows: OnlineRows, stored: Progress | None, expected: Progress | None
) -> None:
    if stored is not None:
        rows.checkpoint(0, Checkpoint(stored), None)
    with pytest.raises(FencedError):
        rows.checkpoint(0, Checkpoint(Progress(9, 9), rows={b"a|x": b"row"}), expected)
    assert rows.progress(0) == stored
    assert rows.read_states({0: [b"a|x"]}) == {0: [None]}


def test_a_writer_between_watch_and_exec_is_noticed(
    rows: OnlineRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = OnlineRows.over(rows._nodes.of(b""), rows.topic)
    compared = Progress.to_bytes

    def meanwhile(self: Progress) -> bytes:
        monkeypatch.setattr(Progress, "to_bytes", compared)
        other.checkpoint(0, Checkpoint(Progress(7, 7)), None)
        return compared(self)

    monkeypatch.setattr(Progress, "to_bytes", meanwhile)
    with pytest.raises(FencedError):
        rows.checkpoint(0, Checkpoint(Progress(3, 3), rows={b"a|x": b"stale"}), None)
    assert rows.progress(0) == Progress(7, 7)
    assert rows.read_states({0: [b"a|x"]}) == {0: [None]}


def said(rows: OnlineRows, *personas: tuple[bytes, int, bytes], fence: Progress | None = None) -> None:
    """Write personas of partition 1 as a worker of codebook version v2 does."""
    rows.write_personas({1: personas}, b'"version":"v2"', {1: (fence, rows.owned_of([1])[1].persona_writes)})


def test_a_newer_persona_of_a_version_wins_whoever_writes_last(rows: OnlineRows) -> None:
    said(rows, (b"a|x", 100, b'{"version":"v2","code":1}'))
    said(rows, (b"a|x", 99, b'{"version":"v2","code":2}'), (b"a|y", 3, b'{"version":"v2","code":3}'))
    assert rows.read_personas({1: [b"a|x", b"a|y", b"a|z"]}) == {
        1: [b'{"version":"v2","code":1}', b'{"version":"v2","code":3}', None]
    }
    said(rows, (b"a|x", 100, b'{"version":"v2","code":4}'))
    assert rows.read_personas({1: [b"a|x"]}) == {1: [b'{"version":"v2","code":4}']}


def test_a_persona_of_another_version_is_replaced_also_by_an_older_offset(rows: OnlineRows) -> None:
    said(rows, (b"a|x", 100, b'{"version":"v1","code":1}'))
    said(rows, (b"a|x", 7, b'{"version":"v2","code":2}'))
    assert dict(rows.all_personas(1)) == {b"a|x": b'{"version":"v2","code":2}'}


def test_who_lost_a_partition_writes_no_persona_of_it(rows: OnlineRows) -> None:
    mine = Progress(5, 1)
    rows.checkpoint(1, Checkpoint(mine), None)
    said(rows, (b"a|x", 4, b'{"code":1}'), fence=mine)
    heirs = Progress(5, 1, sequence=1)
    rows.checkpoint(1, Checkpoint(heirs, erased=[b"a|x"]), mine)
    with pytest.raises(FencedError):
        said(rows, (b"a|x", 6, b'{"code":2}'), fence=mine)
    with pytest.raises(FencedError):
        said(rows, (b"a|x", 6, b'{"code":2}'), fence=None)
    assert rows.read_personas({1: [b"a|x"]}) == {1: [None]}
    said(rows, (b"a|x", 6, b'{"code":3}'), fence=heirs)
    assert rows.read_personas({1: [b"a|x"]}) == {1: [b'{"code":3}']}


def test_the_codebook_version_is_written_with_the_progress(rows: OnlineRows) -> None:
    assert rows.owned_of([0, 3]) == {0: Owned(None, None, 0), 3: Owned(None, None, 0)}
    walking = Tagged("2026-11-23.1", all_of_them=False)
    rows.checkpoint(3, Checkpoint(Progress(1, 1), tagged=walking), None)
    assert rows.owned_of([3]) == {3: Owned(Progress(1, 1), walking, 0)}
    rows.checkpoint(3, Checkpoint(Progress(2, 1)), Progress(1, 1))
    assert rows.owned_of([3]) == {3: Owned(Progress(2, 1), walking, 0)}
    done = Tagged("2026-11-23.1", all_of_them=True)
    rows.checkpoint(3, Checkpoint(Progress(3, 1), tagged=done), Progress(2, 1))
    assert rows.owned_of([3])[3][1] == done


def test_a_store_that_lost_persona_rows_is_noticed_by_who_wrote_them(
    rows: OnlineRows, valkey: Valkey
) -> None:
    fence = Progress(1, 1)
    rows.checkpoint(1, Checkpoint(fence), None)
    one, two = [(b"a|x", 1, b"{}")], [(b"a|y", 2, b"{}")]
    assert rows.write_personas({1: one}, b"v", {1: (fence, 0)}) == {1: 1}
    redis.Redis.from_url(valkey.address).decr(f"{{{rows.topic}:1}}:persona-writes")  # a restart that lost it
    with pytest.raises(FencedError):
        rows.write_personas({1: two}, b"v", {1: (fence, 1)})
    with pytest.raises(FencedError, match="persona rows of partition 1 were lost"):
        rows.checkpoint(1, Checkpoint(Progress(2, 2)), fence, persona_writes=1)
    assert rows.read_personas({1: [b"a|y"]}) == {1: [None]}
    assert rows.write_personas({1: two}, b"v", {1: (fence, 0)}) == {1: 1}
    rows.checkpoint(1, Checkpoint(Progress(2, 2)), fence, persona_writes=1)


def test_erasing_takes_state_persona_and_open_session(rows: OnlineRows) -> None:
    rows.checkpoint(0, Checkpoint(Progress(1, 1), rows={b"a|x": b"row"}, opened={b"a|x": 1}), None)
    rows.write_personas({0: [(b"a|x", 1, b"{}")]}, b"v", {0: (Progress(1, 1), 0)})
    rows.checkpoint(0, Checkpoint(Progress(1, 1), erased=[b"a|x"]), Progress(1, 1))
    assert rows.read_states({0: [b"a|x"]}) == rows.read_personas({0: [b"a|x"]}) == {0: [None]}
    assert rows.sessions_to_end(0, 10, 10) == []


def test_the_partition_count_is_recorded_and_another_refused(rows: OnlineRows) -> None:
    with pytest.raises(OnlineStoreError, match="has a worker run"):
        rows.partition_count()
    rows.claim_partition_count(8)
    rows.claim_partition_count(8)
    with pytest.raises(PartitionCountError, match="has 12 partitions, the store was filled with 8"):
        rows.claim_partition_count(12)


def test_every_state_is_scanned_and_only_this_partitions(rows: OnlineRows) -> None:
    wanted = {f"a|{i}".encode(): b"r%d" % i for i in range(5_000)}
    rows.checkpoint(1, Checkpoint(Progress(1, 1), rows=wanted), None)
    rows.checkpoint(11, Checkpoint(Progress(1, 1), rows={b"a|other": b"r"}), None)
    assert dict(rows.all_states(1)) == wanted


def test_a_store_that_is_away_is_one_clear_error() -> None:
    away = OnlineRows("redis://127.0.0.1:1/0", "t")
    with pytest.raises(OnlineStoreError, match="did not answer"):
        away.progress(0)
