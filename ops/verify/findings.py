"""What comparing one partition gives: counted differences, and with each what would put it right."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from ops.verify.report import VerifyReport


class Fix(NamedTuple):
    """One value of the store that must be another.

    name: the key, without the partition's prefix. member: of a sorted set or a hash; None for a plain key.
    seen is what verification read, wanted what the log says; None: not there. A sorted set has times (ms).
    left_ms: how long a hash may live from now on, where it must be said anew.
    """

    name: bytes
    member: bytes | None
    seen: bytes | float | None
    wanted: bytes | float | None
    left_ms: int | None = None


@dataclass
class Findings:
    """Differences of one partition."""

    number: int
    report: VerifyReport
    fixes: list[Fix] = field(default_factory=list)
    beyond_repair: int = 0
    """Differences that only a replay, or a person, can mend."""

    def note(self, counter: str, what: str, place: str, fix: Fix | None = None) -> None:
        """Count a difference (see VerifyReport.note) at a place, for example an offset."""
        self.report.note(counter, what, f"partition {self.number} {place}".rstrip())
        if fix is None:
            self.beyond_repair += 1
        else:
            self.fixes.append(fix)
