"""Conditions of the mapping language: what the value at a path has to be.

A text is a regular expression that must match the whole value; RE2 matches in time that grows with the text
alone, so no expression can hang a reader (docs/adr/0045-mappings.md).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Final, TypeAlias

import re2

from feature_store.errors import AdapterError
from feature_store.sources.adapters.common import Json
from feature_store.sources.adapters.mapping.language import Condition, Scalar

Captured: TypeAlias = dict[str, str | None]
"""Named groups of a matched expression -> their text."""
Test: TypeAlias = Callable[[Json], Captured | None]
"""The value at a path -> what was captured; None: the condition does not hold."""

_NOTHING: Final[Captured] = {}
_MAX_EXPRESSION: Final = 2_000
_SPECIAL: Final = re.compile(r"[\\.^$*+?{}\[\]|()]")
_WORDS: Final = {"true": True, "false": False}


def compile_condition(condition: Condition) -> Test:
    """A condition as written -> its test.

    Raises:
        AdapterError: it cannot be used, and why.
    """
    if isinstance(condition, list):
        return _any_of([compile_condition(one) for one in condition])
    if isinstance(condition, str):
        return _text(condition)
    if isinstance(condition, bool | int | float):
        return _equal(condition)
    return _present if condition.exists else _absent


def _any_of(tests: list[Test]) -> Test:
    def test(value: Json) -> Captured | None:
        found = (one(value) for one in tests)
        return next((captured for captured in found if captured is not None), None)

    return test


def _present(value: Json) -> Captured | None:
    return None if value is None or value == "" else _NOTHING


def _absent(value: Json) -> Captured | None:
    return _NOTHING if _present(value) is None else None


def _equal(expected: Scalar) -> Test:
    """A number or a boolean also fits its text, which is all that a CSV can hold."""

    def test(value: Json) -> Captured | None:
        given = value
        if isinstance(value, str):
            given = _WORDS.get(value.strip().lower()) if isinstance(expected, bool) else _number(value)
        same_kind = isinstance(given, bool) == isinstance(expected, bool)
        return _NOTHING if same_kind and isinstance(given, int | float) and given == expected else None

    return test


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in text else None


def is_literal(expression: str) -> bool:
    """Whether an expression matches itself and nothing else."""
    return not _SPECIAL.search(expression)


def literal_start(expression: str) -> str:
    """What every text that the expression matches begins with; it alone tells most texts, and far faster."""
    special = _SPECIAL.search(expression)
    if special is None:
        return expression
    if "|" in expression:
        return ""
    start = expression[: special.start()]
    return start[:-1] if special[0] in "*+?{" else start


def _text(expression: str) -> Test:
    if is_literal(expression):
        return lambda value: _NOTHING if as_text(value) == expression else None
    pattern, start = _compile(expression), literal_start(expression)
    named = pattern.groupindex.items()

    def test(value: Json) -> Captured | None:
        text = as_text(value)
        if text is None or not text.startswith(start):
            return None
        try:
            found = pattern.fullmatch(text)
        except UnicodeEncodeError:  # a lone surrogate is no text
            return None
        return None if found is None else {name: found[group] for name, group in named}

    return test


def as_text(value: Json) -> str | None:
    """A text, or the text of a whole number or a boolean; None: it has none."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) and value.bit_length() <= 64 else None


def groups(condition: Condition) -> set[str]:
    """The named groups of a condition's expressions.

    Raises:
        AdapterError: one is no regular expression.
    """
    written = condition if isinstance(condition, list) else [condition]
    texts = [one for one in written if isinstance(one, str)]
    return {name for text in texts for name in _compile(text).groupindex}


def _compile(expression: str) -> re2._Regexp:
    if len(expression) > _MAX_EXPRESSION:
        raise AdapterError(f"an expression has {len(expression)} characters; {_MAX_EXPRESSION} are the most")
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(expression, options)
    except (re2.error, UnicodeEncodeError) as error:
        detail = error.args[0] if error.args else error
        reason = detail.decode(errors="replace") if isinstance(detail, bytes) else detail
        raise AdapterError(
            f"{expression!r} is no regular expression (RE2: no look-around, no back references): {reason}"
        ) from None
