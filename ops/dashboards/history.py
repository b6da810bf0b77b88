"""Answers from the log for the API: what was assigned of a buyer at a moment, why, and all of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from feature_store.contract.erasure import Erasure
from inference.api.installation import History, Look
from inference.api.problems import ProblemError
from ops.errors import MomentError, NothingAssignedError, PastError
from ops.past.as_of import Looker, Past, to_json
from ops.past.asking import ErasedError, look_for
from ops.past.moment import LATEST, parse_moment
from ops.past.why import CatalogueOf, report, why


def history(looker: Looker, catalogue_of: CatalogueOf) -> History:
    """The answers of one installation; both are asked from several threads."""

    def explained(past: Past) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.to_builtins(why(looker, catalogue_of, past))
        return found

    return History(
        as_of=_look(looker, lambda past: to_json(looker.answer(past))),
        why=_look(looker, explained),
        report=_look(looker, lambda past: report(looker, catalogue_of, past)),
    )


def _look(looker: Looker, answer: Callable[[Past], dict[str, Any]]) -> Look:
    def look(
        store: str, names: Sequence[str], erasures: Mapping[bytes, Erasure], at: str | None
    ) -> dict[str, Any]:
        try:
            moment = LATEST if at is None else parse_moment(at)
            past = look_for(looker, store, names, erasures, moment, time.time_ns() // 1_000_000)
            return answer(past)
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
