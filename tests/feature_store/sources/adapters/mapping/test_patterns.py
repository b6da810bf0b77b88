"""Expressions of conditions: how they begin is found without them."""

from __future__ import annotations

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from feature_store.sources.adapters.mapping.patterns import compile_condition, literal_start

PARTS = st.sampled_from(
    ["a", "b", "/", "a*", "b?", "a+", "(?P<query>[ab]+)", "[ab]", "(a|b)", "|", ".", r"\.", "a{2}", "^", "$"]
)
EXPRESSIONS = st.lists(PARTS, min_size=1, max_size=6).map("".join)
TEXTS = st.text("ab/.", max_size=6)


@given(expression=EXPRESSIONS, text=TEXTS)
def test_a_condition_holds_where_the_expression_matches(expression: str, text: str) -> None:
    options = re2.Options()
    options.log_errors = False
    try:
        pattern = re2.compile(expression, options)
    except re2.error:
        return
    found = pattern.fullmatch(text)
    assert compile_condition(expression)(text) == (None if found is None else found.groupdict())


@pytest.mark.parametrize(
    ("expression", "start"),
    [
        ("/products/(?P<product_id>[^/]+)", "/products/"),
        ("abc", "abc"),
        ("ab*", "a"),
        ("ab{2}", "a"),
        (r"ab\.c", "ab"),
        ("ab|cd", ""),
        ("(?i)ab", ""),
        (".*", ""),
    ],
)
def test_what_an_expression_begins_with(expression: str, start: str) -> None:
    assert literal_start(expression) == start
