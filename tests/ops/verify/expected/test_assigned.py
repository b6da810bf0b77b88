"""Which codebook version was in force where: inferred from the order of the assignments."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.online.assignment import Assignment, encode_assignment
from ops.verify.expected.assigned import Assigned

WORD = Assignment(
    store="acme",
    buyer="b",
    code=1,
    token="<|persona_1|>",
    type=None,
    confidence=None,
    distance=0.5,
    margin=0.1,
    codebook_version="a",
    events=1,
    reason="code",
    event_time=0,
    assigned_at=0,
    partition=0,
    offset=0,
)


def assigned(*words: tuple[str, int, str], is_cut: bool = False) -> Assigned:
    """words: codebook version, offset, reason."""
    found = Assigned(end=1_000)
    for version, offset, reason in words:
        assignment = msgspec.structs.replace(
            WORD, codebook_version=version, offset=offset, reason=reason, buyer=f"b{offset}"
        )
        found.add(b"acme|" + assignment.buyer.encode(), assignment, encode_assignment(assignment))
    found.seal(is_cut)
    return found


def test_between_the_last_word_of_one_and_the_first_of_the_next_both_may_have_tagged() -> None:
    found = assigned(("a", 10, "code"), ("a", 20, "code"), ("b", 30, "code"), ("b", 40, "type"))
    assert found.in_force(5) == found.in_force(20) == {"a"}
    assert found.in_force(21) == found.in_force(29) == {"a", "b"}
    assert found.in_force(30) == found.in_force(10_000) == {"b"}


def test_an_announcement_that_looks_back_says_nothing_of_its_offset() -> None:
    found = assigned(("a", 10, "code"), ("a", 90, "code"), ("b", 3, "swap"), ("b", 100, "code"))
    assert found.in_force(3) == {"a"}
    assert found.in_force(95) == {"a", "b"}


def test_what_is_read_again_after_a_crash_was_tagged_by_both() -> None:
    found = assigned(("a", 10, "code"), ("a", 50, "code"), ("b", 40, "code"), ("b", 60, "code"))
    assert found.in_force(39) == {"a"}
    assert found.in_force(45) == {"a", "b"}
    assert found.in_force(51) == {"b"}


def test_the_last_of_a_buyer_are_all_that_were_sent_at_the_highest_offset() -> None:
    found, key = Assigned(end=50), b"acme|b"
    for offset, reason, version in [
        (7, "code", "a"),
        (9, "code", "a"),
        (9, "code", "a"),  # read again after a crash
        (9, "session_end", "a"),
        (8, "code", "a"),  # a zombie's
        (9, "swap", "b"),
        (60, "code", "a"),  # in no checkpoint yet
    ]:
        assignment = msgspec.structs.replace(WORD, offset=offset, reason=reason, codebook_version=version)
        found.add(key, assignment, b"%d" % offset)
    assert {version: (last.offset, len(last.raws)) for version, last in found.last[key].items()} == {
        "a": (9, 2),
        "b": (9, 1),
    }
    assert found.ended == {key: 9}
    assert found.ahead == {(key, 60): [b"60"]}


def test_what_retention_cut_is_not_judged() -> None:
    assert assigned(("a", 70, "swap"), ("a", 80, "code"), is_cut=True).judged_from == 80
    assert assigned(("a", 80, "code")).judged_from == 0
    assert assigned(is_cut=True).judged_from > 10**12


@pytest.mark.parametrize("replays", [False, True])
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 30)), min_size=1, max_size=12), st.data())
def test_somebody_who_tagged_an_offset_is_always_among_those_in_force(
    replays: bool, turns: list[tuple[str, int]], data: st.DataObject
) -> None:
    """Owners take turns of so many offsets, each may begin a little behind; some offsets change a code."""
    offset, words, tagged = 0, [], []
    for version, length in turns:
        start = max(0, offset - data.draw(st.integers(0, 5))) if replays else offset
        for at in range(start, start + length):
            tagged.append((at, version))
            # A first event under another version is said as a swap, so no turn is quite silent.
            if at == start or data.draw(st.booleans()):
                words.append((version, at, "swap" if at == start else "code"))
        offset = start + length
    found = Assigned(end=1_000)
    for version, at, reason in words:
        assignment = msgspec.structs.replace(WORD, codebook_version=version, offset=at, reason=reason)
        found.add(b"acme|b", assignment, b"")
    found.seal(is_cut=False)
    taggers: dict[int, set[str]] = {}
    for at, version in tagged:
        taggers.setdefault(at, set()).add(version)
    # From `offset` on the last owner has yet to read again; verify waits until they have.
    assert all(found.in_force(at) & versions for at, versions in taggers.items() if at < offset)


def test_what_an_earlier_release_sent_is_not_judged_by_the_rule_of_this_one() -> None:
    found = Assigned(end=1_000)
    for offset in (3, 10):
        earlier = msgspec.structs.replace(WORD, offset=offset)
        body = encode_assignment(earlier).replace(b'"forecast":null,"forecast_probability":null,', b"")
        found.add(b"acme|b", earlier, body)
    found.add(b"acme|b", (later := msgspec.structs.replace(WORD, offset=12)), encode_assignment(later))
    found.seal(False)
    assert [word.is_earlier for offset in (3, 10, 12) for word in found.words[offset]] == [True, True, False]
    assert found.judged_from == 12
