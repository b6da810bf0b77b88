"""A name is judged alike wherever it comes in, and is safe as a part of a path."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from feature_store.contract.events import json_schema
from feature_store.contract.names import Name, is_name
from inference.api.requests.ids import StoreName

NAMES = ["acme", "a", "-", "_", ".a", "..a", "a..", "a.b", "...-", "x" * 64, "." * 63 + "x"]
NO_NAMES = [
    "",
    ".",
    "..",
    "...",
    "." * 64,
    "x" * 65,
    "a b",
    "a/b",
    "a\\b",
    "acme\n",
    "\nacme",
    "a\0",
    "ä",
    "a|b",
]

in_api = TypeAdapter(StoreName)
almost_names = st.text(st.sampled_from("aZ09._-/|\n \\"), max_size=70)


def taken_by_the_contract(text: str) -> bool:
    try:
        return msgspec.convert(text, Name) == text
    except msgspec.ValidationError:
        return False


def taken_by_the_api(text: str) -> bool:
    try:
        return in_api.validate_python(text) == text
    except ValidationError:
        return False


def fits_the_schema(text: str) -> bool:
    store = json_schema()["$defs"]["Event"]["properties"]["store"]
    return len(text) <= store["maxLength"] and bool(re.search(store["pattern"].replace("$", r"\Z"), text))


@pytest.mark.parametrize("name", NAMES)
def test_a_name(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("text", NO_NAMES)
def test_no_name(text: str) -> None:
    assert not is_name(text)


@given(st.sampled_from(NAMES + NO_NAMES) | almost_names)
def test_all_doors_agree(text: str) -> None:
    assert {taken_by_the_contract(text), taken_by_the_api(text), fits_the_schema(text)} == {is_name(text)}


@given(almost_names.filter(is_name))
def test_a_name_is_one_step_down_a_path(name: str) -> None:
    assert (Path("/stores") / name).resolve().parent == Path("/stores")
