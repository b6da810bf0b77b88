"""Where a path leads."""

from __future__ import annotations

from typing import Any

import pytest

from feature_store.errors import AdapterError
from feature_store.sources.adapters.mapping.paths import Scope, parse_each, parse_path

RECORD = {
    "user": {"name": "nested", "tags": ["a", {"b": 1}]},
    "user.id": "dotted",
    "gtm": {"start": 5},
    "gtm.uniqueEventId": 31,
    "a.b": {"c.d": "deep"},
    "0": "by key",
    "props": '{"price": 12.5, "list": [{"n": "[1, 2]"}]}',
    "broken": "{",
    'say "x"': {"y": 1},
    "empty": "",
    "params": [{"key": "a", "v": 1}, {"key": "ab", "v": 2}, {"key": 5, "v": 3}, None, {"key": "a", "v": 4}],
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("user.name", "nested"),
        ("user.id", "dotted"),
        ('"user.id"', "dotted"),
        ("user.tags.1.b", 1),
        ("user.tags.2", None),
        ("user.tags.٣", None),
        ("user.tags." + "9" * 40, None),
        ("gtm.start", 5),
        ("gtm.uniqueEventId", 31),
        ("a.b.c.d", "deep"),
        ('"a.b"."c.d"', "deep"),
        ('"a"."b.c.d"', None),
        ("0", "by key"),
        ('user.tags."0"', None),
        ("props.price", 12.5),
        ("props.list.0.n.1", 2),
        ("broken.price", None),
        ("empty.price", None),
        ("none.at.all", None),
        ("'say \"x\"'.y", 1),
        ("^.user", None),
        ("params.[key=a].0.v", 1),
        ("params.[key=a].1.v", 4),
        ("params.[key=a].2.v", None),
        ("params.[key=a*].1.v", 2),
        ("params.[key=5].0.v", None),
        ("user.[key=a].0", None),
    ],
)
def test_a_path_leads_to_a_value_or_breaks_off(path: str, expected: Any) -> None:
    assert Scope(RECORD).at(parse_path(path)) == expected


def test_a_step_outwards_leads_to_what_is_around_the_list() -> None:
    visits = {"shop": "s", "visits": [{"id": 7, "actions": {"0": {"x": 1}, "10": {"x": 3}, "2": {"x": 2}}}]}
    scopes = [Scope(visits)]
    for level in parse_each("visits.*.actions"):
        scopes = [item for scope in scopes for item in scope.each(level) or ()]
    assert [scope.at(parse_path("x")) for scope in scopes] == [1, 2, 3]
    assert {scope.at(parse_path("^.id")) for scope in scopes} == {7}
    assert {scope.at(parse_path("^.^.shop")) for scope in scopes} == {"s"}
    assert {scope.at(parse_path("^.^.^.shop")) for scope in scopes} == {None}


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "a..b",
        "a.",
        '"a',
        '"a"b',
        "a.^.b",
        "a.*.b",
        "[a]",
        "[a=",
        "[=b]",
        "[a=b]c",
        ".".join("a" * 33),
    ],
)
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(AdapterError):
        parse_path(path)


@pytest.mark.parametrize("path", ["", "*", "a.*", "*.a", "^.a", "a.*.*.b"])
def test_what_is_no_path_of_lists(path: str) -> None:
    with pytest.raises(AdapterError):
        parse_each(path)
