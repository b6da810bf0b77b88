"""An example shows how a record is built, and nothing that is in it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.refusals.redaction import redacted, redacted_sentence

_NOTES = re.compile(
    r'"[abc]":|"value":|true|false|null|\\u[0-9a-f]{4}|\\[bfnrt]|e[+-]?9'
    r'|\(\d+ characters\)|… \d+( more)?|…":\d+'
)
"""What is neither name nor value: words of JSON, and how much was left out."""
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=20,
)


def test_the_structure_stays_and_the_values_go() -> None:
    raw = b'{"buyer": "ann@example.com", "price": 19.99, "quantity": -2, "tags": ["Rot", null, true]}'
    assert json.loads(redacted(raw)) == {
        "buyer": "aaa@aaaaaaa.aaa",
        "price": 99.99,
        "quantity": -9,
        "tags": ["Aaa", None, True],
    }


def test_a_name_that_may_be_a_person_is_masked() -> None:
    assert json.loads(redacted(b'{"ann@example.com": 1, "491701234567": 2, "user.id": 3}')) == {
        "aaa@aaaaaaa.aaa": 9,
        "999999999999": 9,
        "user.id": 9,
    }


@pytest.mark.parametrize("raw", [b'{"buyer": "ann', b"ann,17\n", b"\xff\xfeann", b"", b"[" * 5_000, b"1e300"])
def test_what_is_no_json_is_masked_as_text(raw: bytes) -> None:
    shown = redacted(raw)
    assert "ann" not in shown
    assert "17" not in shown
    assert len(shown) <= 1_201


@given(value=VALUES)
def test_no_letter_and_no_digit_of_a_value_gets_out(value: Any) -> None:
    shown = redacted(json.dumps({"value": value}).encode())
    leaves = _NOTES.sub("", shown)
    assert not {letter for letter in leaves if letter.isalnum()} - set("aA9"), shown


def test_a_long_record_is_cut() -> None:
    raw = json.dumps({"items": list(range(1_000)), "text": "x" * 10_000} | {f"k{i}": 1 for i in range(99)})
    shown = redacted(raw.encode())
    assert "997 more" in shown
    assert "(10000 characters)" in shown
    assert len(shown) <= 1_201


@pytest.mark.parametrize(
    ("detail", "shown"),
    [
        ("Invalid enum value 'ann@x.org' - at `$.type`", "Invalid enum value 'aaa@a.aaa' - at `$.type`"),
        ("Invalid enum value 'ann ... (cut", "Invalid enum value 'aaa ... (aaa"),
        ("the record's key is not store|buyer", "the record's key is not store|buyer"),
    ],
)
def test_a_sentence_quotes_no_value(detail: str, shown: str) -> None:
    assert redacted_sentence(detail) == shown
