"""The header of a state row: from where to where it is folded, and what was assigned of the buyer last."""

from __future__ import annotations

from collections.abc import Sequence

import xxhash

from feature_store.online.changes import SENT
from feature_store.online.encoding import RowHeader
from ops.verify.expected.answers import NOTHING, Answers
from ops.verify.expected.assigned import Assigned, Last
from ops.verify.expected.fold import PartitionFold
from ops.verify.expected.ties import Answer, has_tied_code, is_tie

NOTHING_ASSIGNED = RowHeader(since_offset=-1, last_offset=-1, code=-1, type=-1, band=0, version=0)
"""Of a buyer from a backfill who has done nothing since."""


def version_hash(codebook_version: str) -> int:
    """The codebook version as a header keeps it, a uint32."""
    return xxhash.xxh32_intdigest(codebook_version.encode())


class Headers:
    """Judges headers by the fold and the assignments of one partition."""

    def __init__(self, fold: PartitionFold, assigned: Assigned, tagged_by: str | None) -> None:
        """tagged_by: the version that all buyers must be of, None while a swap has not reached everybody."""
        self._fold, self._assigned, self.tagged_by = fold, assigned, tagged_by
        versions = {*assigned.versions, *fold.judge.answers}
        self.names = {version_hash(version): version for version in versions}

    def wrong(self, key: bytes, slot: int, header: RowHeader) -> list[str]:
        """The fields that are wrong; a tie is counted and is not wrong."""
        fold = self._fold
        if fold.last[slot] < 0:
            return _unlike(header, NOTHING_ASSIGNED, RowHeader._fields)
        places = RowHeader(int(fold.since[slot]), int(fold.last[slot]), *header[2:])
        wrong = _unlike(header, places, ("since_offset", "last_offset"))
        version = self.names.get(header.version)
        if version is None or version not in self._allowed(key, slot):
            return [*wrong, "version"]
        last = self._last(key).get(version)
        if last is not None:
            wrong += self._unlike_assigned(key, version, slot, header, last)
            if header.counted not in self._counted(key, slot, version, last):
                wrong.append("counted")
        elif (answers := fold.judge.answers.get(version)) is not None and answers.now[slot, 0] != NOTHING:
            # All that was sent is cut off. Of what was sent last only the code may lag behind.
            wanted = _with_sent(header, (header.code, *answers.now[slot, 1:].tolist()))
            wrong += _unlike(header, wanted, SENT)
        return wrong

    def wanted(self, key: bytes, slot: int) -> RowHeader | None:
        """The header that the row must have; None where the log does not say what was assigned."""
        if self._fold.last[slot] < 0:
            return NOTHING_ASSIGNED
        known = self._last(key)
        allowed = [version for version in self._allowed(key, slot) if version in known]
        if not allowed:
            return None
        version = max(allowed, key=lambda v: (v == self.tagged_by, known[v].offset))
        answers = self._fold.judge.answers.get(version)
        if answers is None:
            return None
        places = RowHeader(int(self._fold.since[slot]), int(self._fold.last[slot]), *NOTHING_ASSIGNED[2:])
        counted = True in self._counted(key, slot, version, known[version])
        header = places._replace(version=version_hash(version), counted=counted)
        return _with_sent(header, answers.sent_by(known[version].words[-1]))

    def _last(self, key: bytes) -> dict[str, Last]:
        return self._assigned.last.get(key, {})

    def _allowed(self, key: bytes, slot: int) -> set[str]:
        """The versions that the row may be of: of its last event, or a walk after a swap."""
        if self.tagged_by is not None:
            return {self.tagged_by}
        at = int(self._fold.last[slot])
        allowed = set(self._assigned.in_force(at))
        allowed |= {v for v, last in self._last(key).items() if last.offset == at and _has(last, "swap")}
        if at < self._assigned.judged_from:
            allowed |= self._fold.judge.answers.keys()
        return allowed

    def _unlike_assigned(
        self, key: bytes, version: str, slot: int, header: RowHeader, last: Last
    ) -> list[str]:
        answers = self._fold.judge.answers.get(version)
        if answers is None:
            return _unlike(header, header._replace(code=last.words[-1].code), ("code",))
        found = tuple(getattr(header, name) for name in SENT)
        if any(found == answers.sent_by(word) for word in self._assigned.sent_last(key, version)):
            return []
        answer = answers.final(slot)
        if answer is not None and self._is_tie(answers, slot, found, last, answer):
            self._fold.report.ties += 1
            return []
        return _unlike(header, _with_sent(header, answers.sent_by(last.words[-1])), SENT)

    def _is_tie(
        self, answers: Answers, slot: int, found: tuple[int, ...], last: Last, answer: Answer
    ) -> bool:
        """Whether owners on two kinds of processors may have left the row so: one assigned, died before its
        checkpoint, and the next found nothing new there."""
        if answers.is_loose[slot]:
            return True
        if found == tuple(answers.now[slot].tolist()):
            return any(is_tie(word, answer) for word in last.words)
        return found[0] != last.words[-1].code and has_tied_code(answer)

    def _counted(self, key: bytes, slot: int, version: str, last: Last) -> set[bool]:
        """What `counted` may read: False after a new announcement (streams.live.swap.reannounce), True after
        an event."""
        at = int(self._fold.last[slot])
        in_force = self._assigned.in_force(at)
        if at < self._assigned.judged_from or not in_force:
            return {True, False}
        if version not in in_force:
            # The last event was another version's. A walk has come since; or the event was read again, under
            # this version, because the checkpoint after it failed.
            return {True, False}
        if last.offset != at or not _has(last, "swap"):
            return {True}
        # One swap at the last event: of the event itself, or of a walk. Which it was is clear where the event
        # was this version's and no other had been in between.
        is_of_event = in_force == {version} and len(last.words) == 1
        return {True} if is_of_event and version not in self._assigned.returned else {True, False}


def _has(last: Last, reason: str) -> bool:
    return any(word.reason == reason for word in last.words)


def _with_sent(header: RowHeader, sent: Sequence[int]) -> RowHeader:
    code, kind, band, forecast, forecast_band = sent
    return header._replace(code=code, type=kind, band=band, forecast=forecast, forecast_band=forecast_band)


def _unlike(found: RowHeader, wanted: RowHeader, fields: tuple[str, ...]) -> list[str]:
    return [name for name in fields if getattr(found, name) != getattr(wanted, name)]
