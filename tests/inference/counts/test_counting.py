"""Counting: the laws that let batches, partitions, workers and windows add up."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.contract.events import EVENT_TYPES, Event
from feature_store.fold.behavior import COUNTER
from feature_store.fold.vectors import scalars, vectors
from feature_store.history.offline_fold import History
from feature_store.online.assignment import confidence_band, confidence_bands
from inference.bundles.bundle import load_bundle, starter_bundle_path
from inference.counts.counting import ProfileTable, WindowRule
from inference.counts.offline import OfflineCounts
from inference.counts.profile import (
    CELLS,
    FEATURE,
    FEATURES,
    OF_BUYERS,
    TALLY,
    YOUNG_BELOW,
    Counts,
    buyers,
    code_shares,
    empty_profile,
    pack_profile,
    profile_from_json,
    profile_to_json,
    unpack_profile,
    young,
)
from inference.encoders.onnx import OnnxEncoder
from inference.errors import ProfileError
from tests.strategies import MINUTE, START, cuts, event, histories

LENGTH = 5 * MINUTE
ENCODER = OnnxEncoder(load_bundle(starter_bundle_path()))


def counted(batches: list[list[Event]], lateness: int = 30 * MINUTE) -> dict[tuple[int, str, int], bytes]:
    recount = OfflineCounts(WindowRule(LENGTH, lateness), ENCODER.encode)
    for batch in batches:
        recount.add(batch)
    return {key: pack_profile(counts) for key, counts in recount.drain().items() if counts.any()}


@settings(max_examples=40)
@given(st.data(), histories())
def test_any_split_into_batches_counts_the_same(data: st.DataObject, events: list[Event]) -> None:
    assert counted(cuts(data.draw, events)) == counted([events])


@settings(max_examples=40)
@given(st.data(), histories())
def test_drained_parts_add_up_to_the_whole(data: st.DataObject, events: list[Event]) -> None:
    recount = OfflineCounts(WindowRule(LENGTH, 30 * MINUTE), ENCODER.encode)
    sums: dict[tuple[int, str, int], Counts] = defaultdict(empty_profile)
    for batch in cuts(data.draw, events):
        recount.add(batch)
        for key, counts in recount.drain().items():
            sums[key] = sums[key] + counts
    assert {key: pack_profile(counts) for key, counts in sums.items() if counts.any()} == counted([events])


@settings(max_examples=40)
@given(histories())
def test_partitions_add_up_to_the_whole(events: list[Event]) -> None:
    """Buyers split over partitions, merged: the same counts. Nothing is late here, as lateness is endless."""
    parts = OfflineCounts(WindowRule(LENGTH, 10**12), ENCODER.encode)
    for number, buyer in enumerate(("b1", "b2", "b3")):
        parts.add([e for e in events if e.buyer == buyer], partition=number)
    sums: dict[tuple[int, str, int], Counts] = defaultdict(empty_profile)
    for (_, store, window), counts in parts.drain().items():
        sums[0, store, window] = sums[0, store, window] + counts
    assert {key: pack_profile(counts) for key, counts in sums.items()} == counted([events], 10**12)


@settings(max_examples=40)
@given(histories())
def test_a_buyer_has_one_vote_a_window_their_last_state_in_it(events: list[Event]) -> None:
    """Against the slowest definition there is: fold event by event, remember each buyer's last word."""
    rows, history = counted([events], 10**12), History()
    last: dict[tuple[str, int], np.ndarray] = {}
    for e in events:
        if history.add([e])[0]:
            slot = np.array([history.table.slots[e.store, e.buyer]])
            window = int(history.table.states.counters[slot[0], COUNTER["last_time"]]) // LENGTH
            last[e.buyer, window] = scalars(history.table.states, slot)[0]
    for window in {window for _, window in last}:
        counts = unpack_profile(rows[0, "acme", window])
        voters = [state for (_, at), state in last.items() if at == window]
        assert buyers(counts) == len(voters)
        purchases = Counter(min(int(state[12]), 4) for state in voters)  # bins 0 to 3 are single numbers
        cells = counts[FEATURE["purchases"].cells]
        assert cells[:4].tolist() == [purchases[n] for n in range(4)]
        for feature in FEATURES:
            if feature.votes == "buyers":
                assert counts[feature.cells].min() >= 0
                assert counts[feature.cells].sum() == len(voters), feature.name
        for age, (least, below) in enumerate(itertools.pairwise((1, *YOUNG_BELOW))):
            of_age = sum(least <= state[0] < below for state in voters)
            events_of_age = counts[young(FEATURE["events"], age)]
            assert events_of_age.sum() == of_age
            assert (events_of_age <= counts[FEATURE["events"].cells]).all()
            for name in ("codes", "types", "purchases"):
                cells_of_age = counts[young(FEATURE[name], age)]
                assert cells_of_age.min() >= 0
                assert cells_of_age.sum() == of_age, name


def test_the_scalars_alone_are_those_of_the_vector() -> None:
    history = History()
    history.add([event(event_id=str(i), type=kind, price=i + 0.5) for i, kind in enumerate(EVENT_TYPES)])
    rows = history.table.rows()
    alone, whole = scalars(history.table.states, rows), vectors(history.table.states, rows)
    assert np.array_equal(alone, whole[:, : alone.shape[1]])


def test_events_count_by_type_and_repeats_and_sessions_are_told() -> None:
    events = [
        event(event_id="a", type="page_view"),
        event(event_id="a", type="page_view"),
        event(event_id="b", type="purchase", timestamp=START + 40 * MINUTE),
    ]
    whole = sum(unpack_profile(packed) for packed in counted([events]).values())
    mix = whole[FEATURE["event_mix"].cells]
    assert mix[EVENT_TYPES.index("page_view")] == 1
    assert mix[EVENT_TYPES.index("purchase")] == 1
    assert mix.sum() == 2
    tallies = {name: int(whole[cell]) for name, cell in TALLY.items()}
    told = {"sessions": 2, "new_buyers": 1, "duplicates": 1}
    assert tallies == dict.fromkeys(TALLY, 0) | told


def test_an_event_beyond_the_lateness_counts_late_where_event_time_is_and_has_no_vote() -> None:
    now = START + 300 * MINUTE
    rows = counted([[event(event_id="a", timestamp=now), event(event_id="b", buyer="b2")]])
    (key,) = rows  # nothing was opened in the window long past
    assert key == (0, "acme", now // LENGTH)
    counts = unpack_profile(rows[key])
    assert counts[TALLY["late"]] == 1
    assert buyers(counts) == 1
    assert counts[FEATURE["event_mix"].cells].sum() == 2


profiles = st.dictionaries(st.integers(0, CELLS - 1), st.integers(1, 2**40), max_size=20).map(
    lambda cells: np.array([cells.get(i, 0) for i in range(CELLS)], dtype=np.int64)
)


@given(profiles, profiles, profiles)
def test_the_merge_is_a_sum(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    assert np.array_equal(a + b, b + a)
    assert np.array_equal((a + b) + c, a + (b + c))
    assert np.array_equal(a + empty_profile(), a)
    assert np.array_equal(unpack_profile(pack_profile(a)) + unpack_profile(pack_profile(b)), a + b)


def test_a_profile_of_a_later_release_is_refused_and_not_misread() -> None:
    later = np.zeros(CELLS + 1, dtype=np.int64)
    later[[0, CELLS]] = 1
    with pytest.raises(ProfileError, match=f"cell {CELLS}.*upgrade what reads before the workers"):
        unpack_profile(pack_profile(later))


@given(profiles)
def test_a_profile_comes_back_from_bytes_and_from_json(counts: np.ndarray) -> None:
    assert np.array_equal(unpack_profile(pack_profile(counts)), counts)
    assert np.array_equal(profile_from_json(profile_to_json(counts)), counts)


def test_shares_sum_to_one_or_are_zero() -> None:
    counts = empty_profile()
    assert code_shares(counts).sum() == 0
    counts[FEATURE["codes"].cells.start + 7] = 3
    counts[FEATURE["codes"].cells.start + 9] = 1
    assert code_shares(counts)[[7, 9]].tolist() == [0.75, 0.25]


def test_features_and_tallies_cover_every_cell_once() -> None:
    ages = (young(f, age) for age in range(len(YOUNG_BELOW)) for f in OF_BUYERS)
    spans = itertools.chain((f.cells for f in FEATURES), (slice(c, c + 1) for c in TALLY.values()), ages)
    cells = list(itertools.chain.from_iterable(range(span.start, span.stop) for span in spans))
    assert cells == list(range(CELLS))


def test_a_row_that_is_given_back_is_empty_when_it_is_used_again() -> None:
    table = ProfileTable()
    counts, rows = table.rows([(0, 0, n) for n in range(200)])
    counts[rows] = 5
    table.remove((0, 0, 17))
    counts, (row,) = table.rows([(0, 0, 999)])
    assert not counts[row].any()
    assert (counts[table.row[0, 0, 16]] == 5).all()


@given(st.lists(st.floats(0, 1, width=32) | st.just(float("nan"))))
def test_bands_of_many_are_the_bands_of_each(confidence: list[float]) -> None:
    many = confidence_bands(np.array(confidence, dtype=np.float32))
    assert many.tolist() == [confidence_band(c) for c in confidence]


@pytest.mark.parametrize("raw", [b"", b"\x09\x00\x00", b"\x01\x02\x00short"])
def test_damaged_counts_are_refused(raw: bytes) -> None:
    with pytest.raises(ProfileError):
        unpack_profile(raw)
