"""What senders do wrong."""

from __future__ import annotations

from tests.reliability.faults.fault import Fault
from tests.reliability.traffic import Mix
from tests.reliability.trial import Trial

_MINUTE_MS = 60_000


class Poison(Fault):
    """Records that are no events."""

    name = "poison"
    meaning = "for 3 to 8 s a tenth of the records is refused (9 kinds); from the last of them"
    seconds = 35
    mix = Mix(poison=0.1)

    def strike(self, trial: Trial) -> None:
        trial.traffic.mix = self.mix
        trial.outage(3, 8)
        trial.traffic.mix = Mix()


class HugeEvent(Fault):
    """An event that is far too large."""

    name = "20 MB event"
    meaning = "one to three events of 20 MB each between good ones; from the last of them"
    seconds = 35

    def strike(self, trial: Trial) -> None:
        for _ in range(trial.draw.randint(1, 3)):
            trial.traffic.send_large(20_000_000)
            trial.drawn("then", 0.2, 1.5)


class Duplicates(Poison):
    """Records that are sent again."""

    name = "duplicates"
    meaning = "for 3 to 8 s three records of ten are sent before, up to 40 events ago; from the last of them"
    mix = Mix(duplicates=0.3)


class Reordering(Poison):
    """Records out of order."""

    name = "reordering"
    meaning = "for 3 to 8 s records change places with others of the same 20 ms; from the last of them"
    mix = Mix(reordered=0.7)


class ClockSkew(Poison):
    """Senders whose clocks are wrong."""

    name = "clock skew"
    meaning = (
        "for 3 to 8 s five senders' clocks are 20 h behind to 45 min ahead, and 1 % of the events are 2 h "
        "ahead of their own record, which must be refused; from the last of them"
    )
    mix = Mix(future=0.01, skews=(-1200 * _MINUTE_MS, -40 * _MINUTE_MS, -5 * _MINUTE_MS, 0, 45 * _MINUTE_MS))
