"""JSON values are the same records however they are laid out, and a broken one costs itself alone."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.errors import EventSourceError
from feature_store.sources.files import json_values
from feature_store.sources.files.json_values import is_multi_line, values_of

LIMIT = 1_000_000
SCALARS = st.none() | st.booleans() | st.integers(-9, 10**6) | st.text(max_size=8)
RECORDS = st.dictionaries(
    st.text(max_size=4),
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    ),
    max_size=4,
)


def read(content: bytes, limit: int = LIMIT) -> list[tuple[int, bytes, int]]:
    return [
        tuple(value) for value in values_of(io.BufferedReader(io.BytesIO(content)), Path("f.json"), limit)
    ]  # type: ignore[type-var,misc]


def decoded(content: bytes) -> list[Any]:
    return [json.loads(raw) for _, raw, _ in read(content)]


LAYOUTS = {
    "array": json.dumps,
    "pretty array": lambda values: json.dumps(values, indent=2),
    "lines": lambda values: "".join(json.dumps(value) + "\n" for value in values),
    "pretty values": lambda values: "".join(json.dumps(value, indent=1) + "\n" for value in values),
    "beyond ASCII": lambda values: json.dumps(values, ensure_ascii=False),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=40)
@given(values=st.lists(RECORDS | st.integers() | st.text(max_size=5), max_size=5), size=st.integers(1, 40))
def test_the_values_are_the_same_in_every_layout(layout: str, values: list[Any], size: int) -> None:
    content = LAYOUTS[layout](values).encode("utf-8", "surrogatepass")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(json_values, "_READ_AT_ONCE", size)
        found = read(content)
    assert [json.loads(raw.decode("utf-8", "surrogatepass")) for _, raw, _ in found] == values
    assert [number for number, _, _ in found] == list(range(1, len(values) + 1))


@settings(max_examples=60)
@given(values=st.lists(RECORDS, min_size=1, max_size=4), data=st.data())
def test_a_file_that_was_cut_off_says_so_after_the_records_before(
    values: list[Any], data: st.DataObject
) -> None:
    content = json.dumps(values, indent=1).encode()
    end = data.draw(st.integers(1, len(content) - 1))
    found: list[Any] = []
    with pytest.raises(EventSourceError, match="cut off"):
        found.extend(
            json.loads(value.raw)
            for value in values_of(io.BufferedReader(io.BytesIO(content[:end])), Path("f.json"), LIMIT)  # type: ignore[type-var]
        )
    assert found == values[: len(found)]


def test_a_broken_value_costs_itself_alone() -> None:
    found = read(b'[{"a": 1}, {"a": oops}, {"b": "]}"}, 5]')
    assert [raw for _, raw, _ in found] == [b'{"a": 1}', b'{"a": oops}', b'{"b": "]}"}', b"5"]


def test_of_a_value_over_the_limit_only_the_beginning_is_held() -> None:
    content = b'[{"a": "' + b"x" * 5_000 + b'"}, {"b": 1}]'
    (_, raw, length), (_, after, _) = read(content, limit=1_000)
    assert (len(raw), length) == (1_000, 5_000 + 9)
    assert after == b'{"b": 1}'


@pytest.mark.parametrize(
    ("first", "multi_line"),
    [
        (b'{"a": 1}\n{"a": 2}\n', False),
        (b'  [{"a": 1}]', True),
        (b'{\n "a": 1\n}\n', True),
        (b'{"a": {\n "b": 1}}\n', True),
        (b'{"a": 1\n{"a": 2}\n', False),
        (b"", False),
        (b"hello", False),
    ],
)
def test_what_holds_no_lines(first: bytes, multi_line: bool) -> None:
    assert is_multi_line(first) is multi_line
