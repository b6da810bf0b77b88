"""What the assignments topic says of one partition, and which codebook version was in force where.

The worker of a partition sends in the order of the log, so consecutive assignments of one version are a
run of that version. Where exactly one version followed another nobody wrote down: between the last word
of a run and the first of the next both are possible, and there only what all of them must say is judged.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from feature_store.history.offline_fold import BuyerKey
from feature_store.online.assignment import Assignment

_EVENT_REASONS: Final = frozenset({"code", "type", "confidence"})
"""Said at the offset of the event just folded; swap and session_end may look back."""
_EVER: Final = 2**63


class Persona(NamedTuple):
    """What an encoder says of a state, type by name."""

    code: int
    type: str | None


@dataclass
class _Run:
    version: str
    first: int = _EVER
    last: int = -1


@dataclass
class Said:
    """Assignments of a partition by buyer and offset, then by codebook version."""

    words: dict[tuple[BuyerKey, int], dict[str, Persona]] = field(default_factory=dict)
    judged_from: int = 0
    """Below this offset of the clickstream what was said is no longer held: retention cut it."""
    _runs: list[_Run] = field(default_factory=list)
    _spans: list[tuple[int, int, str]] = field(default_factory=list)

    @property
    def versions(self) -> set[str]:
        """Codebook versions that said anything."""
        return {run.version for run in self._runs}

    def add(self, said: Assignment) -> Persona | None:
        """Take an assignment, in the topic's order; returns another word of the same version at its place."""
        if not self._runs or self._runs[-1].version != said.codebook_version:
            self._runs.append(_Run(said.codebook_version))
        run = self._runs[-1]
        if said.reason in _EVENT_REASONS:
            run.first, run.last = min(run.first, said.offset), max(run.last, said.offset)
        now = Persona(said.code, said.type)
        here = self.words.setdefault(((said.store, said.buyer), said.offset), {})
        before = here.setdefault(said.codebook_version, now)
        return None if before == now else before

    def seal(self, is_cut: bool) -> None:
        """All assignments are added; `is_cut`: the topic no longer holds its first ones."""
        if is_cut:
            self.judged_from = min((run.first for run in self._runs), default=_EVER)
        reached = -1
        for run, following in itertools.zip_longest(self._runs, self._runs[1:]):
            begins = min(run.first, reached + 1)
            ends = _EVER if following is None else max(run.last, following.first - 1)
            self._spans.append((begins, ends, run.version))
            reached = run.last if run.last >= 0 else reached
        self._spans = _merged(self._spans)

    def in_force(self, offset: int) -> set[str]:
        """The versions that may have tagged the event at an offset; none where nothing was ever said."""
        return {version for begins, ends, version in self._spans if begins <= offset <= ends}


def _merged(spans: Iterable[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Spans of one version that touch, as one."""
    whole: dict[str, list[tuple[int, int]]] = {}
    for begins, ends, version in sorted(spans):
        mine = whole.setdefault(version, [])
        if mine and begins <= mine[-1][1] + 1:
            mine[-1] = (mine[-1][0], max(ends, mine[-1][1]))
        else:
            mine.append((begins, ends))
    return [(begins, ends, version) for version, spans_ in whole.items() for begins, ends in spans_]
