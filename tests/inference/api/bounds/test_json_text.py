"""What is said of a JSON text before it is built is what building it would show."""

from __future__ import annotations

import gc
import json
import tracemalloc
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.api.bounds.json_text import JsonText, compile_now
from inference.api.problems import ProblemError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(['"', "\\", "[{,:}]", '\\"']),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)
SPACE = st.sampled_from(["", " ", "\n\t "])


def values(value: Any) -> int:
    """Names and values of what was built."""
    if isinstance(value, list):
        return 1 + sum(map(values, value))
    if isinstance(value, dict):
        return 1 + sum(1 + values(inner) for inner in value.values())
    return 1


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


def text_of(value: Any, before: str = "", after: str = "") -> JsonText:
    return JsonText(f"{before}{json.dumps(value)}{after}".encode())


def refused(text: JsonText, most_values: int, most_depth: int) -> bool:
    try:
        text.check(text.whole, most_values, most_depth)
    except ProblemError as error:
        return error.kind == "too-much-json"
    return False


@given(JSON)
def test_nothing_is_larger_than_it_was_said_to_be(value: Any) -> None:
    text = text_of(value)
    assert refused(text, values(value) - 1, 1_000)
    assert refused(text, 1_000, depth(value) - 1)
    # An empty list counts for one more than it is, and nothing else does.
    assert not refused(text, 2 * values(value), depth(value))


@given(st.lists(JSON, max_size=6), SPACE, SPACE)
def test_elements_of_a_list_are_those_that_a_decoder_finds(found: list[Any], before: str, after: str) -> None:
    text = text_of(found, before, after)
    parts = [json.loads(bytes(text.part(span))) for span in text.elements(text.whole, 6)]
    assert parts == found


@given(st.dictionaries(st.text(max_size=3), JSON, max_size=4), JSON, SPACE)
def test_a_member_is_the_one_that_a_decoder_finds(around: dict[str, Any], value: Any, before: str) -> None:
    text = text_of({**around, "batch": value, "other": {"batch": 1}}, before)
    span = text.member(text.whole, "batch")
    assert span is not None
    assert json.loads(bytes(text.part(span))) == value
    assert text.member(text.whole, "no such") is None


@pytest.mark.parametrize("broken", [b"[1", b"[", b'["', b'["\\', b"[1}", b"[1]x", b"[1][2]"])
def test_a_list_that_is_not_one_is_refused(broken: bytes) -> None:
    text = JsonText(broken)
    with pytest.raises(ProblemError) as raised:
        text.elements(text.whole, 9)
    assert raised.value.status_code == 400


@given(st.binary(max_size=60))
def test_whatever_the_bytes_are_it_comes_to_an_end(raw: bytes) -> None:
    text = JsonText(raw)
    refused(text, 5, 3)
    text.opens(text.whole)
    for start in (b"[", b"{"):
        text = JsonText(start + raw)
        text.member(text.whole, "a")
        with suppress(ProblemError):
            text.elements(text.whole, 5)


def test_a_text_of_millions_of_lists_costs_no_memory_to_refuse() -> None:
    raw = b"[" + b"[]," * 2_790_000 + b"[]]"
    text = JsonText(raw)
    compile_now()
    gc.collect()
    tracemalloc.start()
    assert refused(text, 500_000, 64)
    with pytest.raises(ProblemError, match="at most 2000 items"):
        text.elements(text.whole, 2_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20
