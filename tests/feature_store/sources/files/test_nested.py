"""Wrappers that writers of tables put around lists, and JSON kept as text, are taken off."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from feature_store.sources.files.nested import may_be_nested, plain

NAMES = st.sampled_from(["a", "b", "items", "price"])
VALUES = st.recursive(
    st.none() | st.integers() | st.text("xyz", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)
RECORDS = st.dictionaries(NAMES, VALUES, max_size=4)


def hive(value: Any) -> Any:
    """As Arrow and Hive write it."""
    if isinstance(value, list):
        return {"list": [{"element": hive(item)} for item in value]}
    return {name: hive(inner) for name, inner in value.items()} if isinstance(value, dict) else value


def bigquery(value: Any) -> Any:
    """As BigQuery's own rows are."""
    if isinstance(value, list):
        return [{"v": bigquery(item)} for item in value]
    return (
        {name: {"v": bigquery(inner)} for name, inner in value.items()} if isinstance(value, dict) else value
    )


@given(record=RECORDS)
def test_wrappers_are_taken_off(record: dict[str, Any]) -> None:
    assert plain(hive(record), json_text=False) == record
    assert plain(bigquery(record), json_text=False) == record


@given(record=RECORDS)
def test_json_kept_as_text_is_decoded(record: dict[str, Any]) -> None:
    flat = {name: json.dumps(v) if isinstance(v, dict | list) else v for name, v in record.items()}
    assert plain(flat, json_text=True) == record
    assert plain(flat, json_text=False) == flat


@given(
    record=RECORDS,
    wrap=st.sampled_from([hive, bigquery, lambda record: {n: json.dumps(v) for n, v in record.items()}]),
)
def test_what_need_not_be_looked_at_does_not_change(record: dict[str, Any], wrap: Any) -> None:
    raw = json.dumps(wrap(record)).encode()
    if not may_be_nested(raw):
        assert plain(json.loads(raw), json_text=True) == json.loads(raw)


def test_depth_is_bounded() -> None:
    deep: Any = 1
    for _ in range(10_000):
        deep = {"v": deep}
    assert isinstance(plain({"a": deep}, json_text=True)["a"], dict)


def test_what_is_no_wrapper_stays() -> None:
    record = {"list": [{"element": 1, "other": 2}], "text": "[not json]", "v": {"list": "x"}}
    assert plain(record, json_text=True) == record
