"""What comparing one partition gives: counted differences, and with each what would put it right."""

from __future__ import annotations

from dataclasses import dataclass, field

from feature_store.online.mending import Fix
from ops.verify.report import VerifyReport


@dataclass
class Findings:
    """Differences of one partition."""

    number: int
    report: VerifyReport
    fixes: list[Fix] = field(default_factory=list)
    """What would put right those of them that are derived from the log; see feature_store.online.mending."""
    beyond_repair: int = 0
    """Differences that only a replay, or a person, can mend."""

    def note(self, counter: str, what: str, place: str, fix: Fix | None = None) -> None:
        """Count a difference (see VerifyReport.note) at a place, for example an offset."""
        self.report.note(counter, what, f"partition {self.number} {place}".rstrip())
        if fix is None:
            self.beyond_repair += 1
        else:
            self.fixes.append(fix)
