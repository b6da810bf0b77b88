"""The outside of a simulated worker: every call that leaves the process stops here first.

A worker runs in a greenlet. Before each call to the consumer, the store or the producer it hands control back
to the history, which decides who runs next, what fails, and who is killed. So two workers interleave at every
point at which two processes can, in one thread and the same way each time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from greenlet import GreenletExit, getcurrent, greenlet


class KilledError(BaseException):
    """The process is no more: out of every outside call of a dead worker, so that nothing cleans up."""


@dataclass
class SimClock:
    """Time that only the history moves. monotonic in s, the wall clock in ms since the epoch."""

    at_s: float = 1_000.0
    wall_ms: int = 1_764_000_000_000

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.at_s += seconds
        self.wall_ms += round(seconds * 1000)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self.at_s

    def now_s(self) -> float:
        """Wall clock, s."""
        return self.wall_ms / 1000

    def now_ms(self) -> int:
        """Wall clock, ms."""
        return self.wall_ms


@dataclass
class Process:
    """One life of a worker process: its greenlet, and the faults that wait for its next calls."""

    name: str
    body: Callable[[Process], None]
    alive: bool = True
    frozen: bool = False
    encoder_gone: bool = False
    """The encoder does not answer the next time."""
    ended_with: BaseException | None = None
    calls: int = 0
    answer_lost: bool = False
    """The store does the next write and its answer never comes."""
    flush_fails: str | None = None
    """What the next flush meets: refused, stored, stalled, fatal."""
    on_kill: list[Callable[[float], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._greenlet = greenlet(self._run)

    def _run(self) -> None:
        try:
            self.body(self)
        except KilledError:
            pass
        except GreenletExit:
            raise
        except Exception as error:
            self.ended_with = error
        self.alive = False

    def outside(self) -> None:
        """Stop before a call that leaves the process, until the history lets it go on."""
        if not self.alive:
            raise KilledError
        parent = getcurrent().parent
        if parent is None:  # set-up, before the process runs
            return
        self.calls += 1
        parent.switch()
        if not self.alive:
            raise KilledError

    def step(self) -> None:
        """Run up to the next outside call."""
        if self.alive and not self.frozen:
            self._greenlet.parent = getcurrent()
            self._greenlet.switch()

    def kill(self, share: float) -> None:
        """SIGKILL; `share` of what the producer had queued had left the machine."""
        if not self.alive:
            return
        for leave in self.on_kill:
            leave(share)
        self.alive = False
        if self._greenlet:
            self._greenlet.parent = getcurrent()
            self._greenlet.switch()
