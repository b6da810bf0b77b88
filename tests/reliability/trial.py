"""One trial: two workers under traffic, one fault at a moment that the seed draws, and what came of it."""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from feature_store.errors import LogError, OnlineStoreError
from feature_store.log.topics import end_offsets
from tests.reliability.group import Group
from tests.reliability.judge import Verdict, judge
from tests.reliability.servers import ProxiedKafka
from tests.reliability.traffic import Traffic
from tests.rig import PARTITIONS, Rig, Worker
from tests.waiting import random_moment, wait_until

SLOWEST, FASTEST = 500, 5_000
"""events/s, before the fault and in its first seconds."""
AFTER: Final = 500
"""events/s while the recovery is timed."""
_FRESH_S: Final = 1.0
"""Lag 0: what was in the topic so long ago is in the store. A checkpoint alone takes up to 0.2 s."""
_PATIENCE_S: Final = 300


class Result(msgspec.Struct, frozen=True):
    """One line of the file of results."""

    fault: str
    seed: int
    rate: int
    events: int
    lost: int
    twice: int
    letters_missing: int
    letters_wrong: int
    unsent: int
    verify: str
    recovery_s: float
    restarts: int
    """Workers that ended by themselves and were started again, as a supervisor does."""
    load: float
    """Processes of the machine that wanted to run, on average of a minute."""
    cores: int
    seconds: float
    what: str
    """What the seed drew, for a reader."""
    code: str
    """The commit."""

    @property
    def is_right(self) -> bool:
        """Whether nothing is lost, counted twice or different."""
        wrong = (self.lost, self.twice, self.letters_missing, self.letters_wrong, self.unsent)
        return not any(wrong) and not self.verify


class Trial:
    """What a fault may touch: servers, workers, traffic, and a source of chance."""

    def __init__(self, kafka: ProxiedKafka, folder: Path, draw: random.Random, stack: ExitStack) -> None:
        self.kafka, self.folder, self.draw, self.stack = kafka, folder, draw, stack
        self.rate = round(math.exp(draw.uniform(math.log(SLOWEST), math.log(FASTEST))))
        self.rig = Rig(kafka, folder)
        stack.callback(self.rig.close)
        self.group = Group(kafka.client_config(), self.rig.settings.group)
        self.environment: dict[str, str] = {}
        self.settings: dict[str, Any] = {}
        self.killed: set[Worker] = set()
        self.restarts = 0
        self.what: list[str] = []
        self.traffic = Traffic(kafka.client_config(), self.rig.settings.topic, draw, self.rate)

    def start_workers(self, count: int = 2) -> list[Worker]:
        """Start workers, each in its turn; returns when each owns partitions."""
        for _ in range(count):
            worker = self.rig.worker(environment=self.environment, **self.settings)
            worker.wait_assigned()
        self.rig.wait_for(lambda: self.group.is_stable(len(self.rig.workers)), "the group to be stable")
        return self.rig.workers

    def drawn(self, name: str, low_s: float, high_s: float) -> float:
        """Let a drawn time pass; returns it, s."""
        moment = random_moment(self.draw, low_s, high_s)
        self.what.append(f"{name} {moment:.1f} s")
        return moment

    def outage(self, low_s: float, high_s: float) -> None:
        """A fault lasts: its first part at the drawn rate, the rest at that of the recovery."""
        self.drawn("under load", low_s / 2, high_s / 2)
        self.traffic.rate = AFTER
        self.drawn("then", low_s / 2, high_s / 2)

    def supervise(self) -> None:
        """Start again what ended by itself."""
        for worker in self.rig.workers:
            if worker not in self.killed and worker.process.poll() is not None:
                self.restarts += 1
                worker.start()

    def recovery(self) -> float:
        """Seconds from now until the store holds all that the topic held `_FRESH_S` ago."""
        began, seen = time.monotonic(), list[tuple[float, dict[int, int]]]()

        def fresh() -> bool:
            self.supervise()
            try:
                seen.append((time.monotonic(), self._ends()))
                progress = self.rig.rows.progress_of(range(PARTITIONS))
            except (LogError, OnlineStoreError):  # a server that was hung needs a moment for us too
                return False
            old = [ends for at, ends in seen if at <= seen[-1][0] - _FRESH_S]
            return bool(old) and all(
                (held.next_offset if (held := progress[number]) else 0) >= end
                for number, end in old[-1].items()
            )

        self.rig.wait_for(fresh, "lag 0", _PATIENCE_S)
        return time.monotonic() - began

    def _ends(self) -> dict[int, int]:
        return end_offsets(self.rig.client_config(), self.rig.settings.topic, list(range(PARTITIONS)))

    def settle(self) -> None:
        """Until everything that was sent is folded."""

        def done() -> bool:
            self.supervise()
            try:
                return self.rig.folded() >= self.rig.stored()
            except (LogError, OnlineStoreError):
                return False

        wait_until(done, "the workers to fold everything", _PATIENCE_S)


@contextmanager
def _trial(kafka: ProxiedKafka, folder: Path, draw: random.Random, fault: Any) -> Iterator[Trial]:
    with ExitStack() as stack:
        kafka.proxy.heal()
        kafka.start()  # if the trial before left it dead
        fault.prepare(folder, stack)
        trial = Trial(kafka, folder, draw, stack)
        fault.arrange(trial)
        yield trial


def run_trial(fault: Any, seed: int, kafka: ProxiedKafka, folder: Path, code: str) -> Result:
    """Live through one seed of a fault (tests/reliability/faults). `folder` must not exist."""
    began, draw = time.monotonic(), random.Random(f"{fault.name} {seed}")
    folder.mkdir(parents=True)
    with _trial(kafka, folder, draw, fault) as trial:
        trial.start_workers(fault.workers)
        with trial.traffic.running():
            trial.rig.wait_for_more(trial.rate)
            trial.drawn("fault after", 0.5, 3.0)
            fault.strike(trial)
            trial.traffic.rate = AFTER
            recovery = trial.recovery()
            fault.end(trial)
            trial.drawn("traffic for", 0.5, 1.5)
        trial.settle()
        verdict = judge(trial.rig, trial.traffic.sent)
        return _result(fault.name, seed, trial, verdict, recovery, time.monotonic() - began, code)


def _result(
    name: str, seed: int, trial: Trial, verdict: Verdict, recovery: float, seconds: float, code: str
) -> Result:
    figures: Mapping[str, Any] = verdict._asdict()
    return Result(
        fault=name,
        seed=seed,
        rate=trial.rate,
        **figures,
        recovery_s=round(recovery, 2),
        restarts=trial.restarts,
        load=round(os.getloadavg()[0], 1),
        cores=os.cpu_count() or 1,
        seconds=round(seconds, 1),
        what=", ".join(trial.what),
        code=code,
    )
