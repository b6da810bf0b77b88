"""Which rows may be of another event than the last assignment of their buyer."""

from __future__ import annotations

import msgspec
import pytest

from feature_store.online.assignment import encode_assignment
from ops.verify.expected.assigned import Last, word_of
from ops.verify.rows.personas import Personas
from tests.ops.verify.expected.test_assigned import WORD

ROW = msgspec.structs.replace(WORD, offset=WORD.offset + 7, confidence=0.61)


def last(**changes: object) -> Last:
    a = msgspec.structs.replace(WORD, reason="swap", confidence=0.62, **changes)
    return Last(a.offset, [word_of(b"acme|x", a, is_earlier=False)], [encode_assignment(a)])


def test_an_owner_that_died_before_kafka_had_its_assignment_may_have_left_a_later_row() -> None:
    assert Personas._is_of_an_owner_that_died(ROW, last())


@pytest.mark.parametrize(
    "changes", [{"forecast": "another"}, {"type": "another"}, {"offset": ROW.offset}], ids=str
)
def test_a_row_that_says_something_else_or_is_not_later_may_not(changes: dict[str, object]) -> None:
    assert not Personas._is_of_an_owner_that_died(ROW, last(**changes))


def test_after_an_event_the_row_is_that_of_the_event() -> None:
    word = last().words[0]._replace(reason="code")
    assert not Personas._is_of_an_owner_that_died(ROW, last()._replace(words=[word]))
