"""What verification found: counters, each documented once, here; docs/verify.md is made of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

_MOST_EXAMPLES: Final = 10


def _difference(meaning: str) -> Any:
    return field(default=0, metadata={"is_difference": True, "meaning": meaning})


def _count(meaning: str) -> Any:
    return field(default=0, metadata={"is_difference": False, "meaning": meaning})


@dataclass
class VerifyReport:
    """What was compared and what differs; `equal` is the verdict.

    Every field's meaning stands beside it. Those made by _difference make `equal` false.
    """

    buyers: int = _count("buyers of the offline fold")
    earlier_rows: int = _count(
        "state rows that an earlier release wrote: read as they are, written anew with the buyer's next event"
    )
    earlier_folds: int = _count(
        "state rows that an earlier fold began and that differ, of buyers with events that it counted "
        "otherwise (repeats after 64 other events, orders again): not comparable"
    )
    different: int = _difference("state rows whose state is not the offline fold's, or that cannot be read")
    missing: int = _difference("buyers of the fold without a state row")
    extra: int = _difference("state rows of nobody, and persona rows of buyers that were never tagged")
    headers: int = _difference("state rows whose header is not what was folded and assigned last")
    assignments: int = _count("assignments whose bundle is known")
    contradicting: int = _difference("assignments that are not what the state at their offset gives")
    unsaid: int = _difference("changes, and ends of sessions, without an assignment")
    other_version: int = _count("assignments of codebook versions whose bundle is not known: not recomputed")
    ties: int = _count("answers that differ where two are equally near: another processor may round so")
    not_folded: int = _difference("records of the topic that the store has not folded yet")
    personas: int = _count("persona rows of tagged buyers")
    stale: int = _difference("persona rows that are not byte for byte the buyer's last assignment")
    personas_missing: int = _difference("tagged buyers without a persona row")
    ahead: int = _count(
        "persona rows of records after the last checkpoint: written at once, as they should be"
    )
    awaiting_swap: int = _count("persona rows of another codebook version than the champion's")
    open_sessions: int = _count("buyers whose session has not ended")
    sessions: int = _difference("entries of `open` that are wrong, missing, or of sessions that have ended")
    sessions_waiting: int = _count("ended sessions whose end the next checkpoints announce")
    windows: int = _count("windows of counts that were compared")
    windows_different: int = _difference("windows whose counts, fields or expiry are wrong")
    windows_in_part: int = _count(
        "windows compared by their event counts alone: a swap or an erasure is in them"
    )
    partition_rows: int = _difference("progress, codebook or partition-count rows that are wrong")
    calibrations: int = _count("calibrations that hold, or held, one per partition")
    calibrations_wrong: int = _difference(
        "calibrations in the store that are not in the log, not as they are there, missing, or unreadable"
    )
    opted_out: int = _count("buyers whom the store knows to have opted out")
    opt_outs_wrong: int = _difference(
        "buyers whom the store knows to have opted out and the log does not, or the other way round"
    )
    after_opt_out: int = _difference("assignments of events that came after their buyer's withdrawal")
    partitions_walking: int = _count("partitions in which a swap has not reached every buyer")
    unexpected: int = _difference("keys of a partition that are of no known kind")
    api_keys: int = _count("records of API keys")
    api_keys_wrong: int = _difference(
        "API keys that are not as the topic of keys has them, damaged, or not under their own name"
    )
    not_judged: int = _count("events from before the first assignment that retention has left")
    sample: float = field(
        default=1.0, metadata={"is_difference": False, "meaning": "share of the buyers that was compared"}
    )
    named: Counter[str] = field(
        default_factory=Counter,
        metadata={"is_difference": False, "meaning": "what differs, row and field, and how often"},
    )
    notes: list[str] = field(
        default_factory=list,
        metadata={"is_difference": False, "meaning": "what could not be compared, and why"},
    )
    examples: list[str] = field(
        default_factory=list,
        metadata={
            "is_difference": False,
            "meaning": "the first differences, by partition and offset, never by buyer",
        },
    )

    @property
    def equal(self) -> bool:
        """Whether everything that was compared is as the log says, and nothing waits."""
        return not any(getattr(self, f.name) for f in fields(self) if f.metadata["is_difference"])

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON."""
        return {"equal": self.equal, **asdict(self), "named": dict(self.named)}

    def note(self, counter: str, what: str, where: str) -> None:
        """Count a difference: in which counter, what differs (`row.field`), and where; never a buyer."""
        setattr(self, counter, getattr(self, counter) + 1)
        self.named[what] += 1
        if len(self.examples) < _MOST_EXAMPLES:
            self.examples.append(f"{counter}: {what}, {where}")
