"""Answers from the log for the API: what was assigned of a buyer at a moment, why, and all of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from feature_store.contract.erasure import Erasure
from inference.api.installation import History, Look
from inference.api.problems import ProblemError
from ops.errors import MomentError, NothingAssignedError, PastError
from ops.past.as_of import Looker, Past, to_json
from ops.past.asking import ErasedError, look_for
from ops.past.moment import LATEST, parse_moment


def history(open_looker: Callable[[], Looker]) -> History:
    """open_looker: called once per question, in its thread."""

    def as_of(looker: Looker, past: Past) -> dict[str, Any]:
        return to_json(looker.answer(past))

    return History(
        as_of=_look(open_looker, as_of), why=_look(open_looker, as_of), report=_look(open_looker, as_of)
    )


def _look(open_looker: Callable[[], Looker], answer: Callable[[Looker, Past], dict[str, Any]]) -> Look:
    def look(
        store: str, names: Sequence[str], erasures: Mapping[bytes, Erasure], at: str | None
    ) -> dict[str, Any]:
        try:
            moment, looker = LATEST if at is None else parse_moment(at), open_looker()
            past = look_for(looker, store, names, erasures, moment, time.time_ns() // 1_000_000)
            return answer(looker, past)
        except PastError as error:
            raise _problem(error) from None

    return look


def _problem(error: PastError) -> ProblemError:
    match error:
        case ErasedError():
            return ProblemError(404, "erased-buyer", str(error))
        case NothingAssignedError():
            return ProblemError(404, "nothing-assigned", str(error))
        case MomentError():
            return ProblemError(422, "no-such-moment", str(error))
        case _:
            return ProblemError(422, "not-readable", str(error))
