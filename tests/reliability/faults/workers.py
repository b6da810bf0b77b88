"""Workers that die, sleep, come and go."""

from __future__ import annotations

import time

from tests.reliability.faults.fault import Fault
from tests.reliability.trial import Trial

_FROZEN_S = 40


class WorkerKilled(Fault):
    """kill -9."""

    name = "worker kill -9"
    meaning = "one of two workers is killed; from the moment its group has declared it dead"

    def strike(self, trial: Trial) -> None:
        victim = trial.draw.choice(trial.rig.workers)
        trial.killed.add(victim)
        victim.kill()
        trial.drawn("under load", 0.5, 3)
        trial.traffic.rate = 500
        trial.rig.wait_for(lambda: trial.group.is_stable(1), "the group to declare the worker dead")
        self._victim = victim

    def end(self, trial: Trial) -> None:
        trial.killed.discard(self._victim)
        self._victim.start()
        trial.rig.wait_for(lambda: trial.group.is_stable(2), "the worker to be back")


class WorkerStopped(Fault):
    """SIGSTOP."""

    name = "worker SIGSTOP 40 s"
    meaning = (
        "one of two workers is stopped for 40 s and wakes as a zombie; from the moment its group has "
        "declared it dead"
    )
    seconds = 75

    def strike(self, trial: Trial) -> None:
        self._victim, self._at = trial.draw.choice(trial.rig.workers), time.monotonic()
        self._victim.freeze()
        trial.drawn("under load", 0.5, 3)
        trial.traffic.rate = 500
        trial.rig.wait_for(lambda: trial.group.is_stable(1), "the group to declare the worker dead")

    def end(self, trial: Trial) -> None:
        trial.rig.wait_for(lambda: time.monotonic() > self._at + _FROZEN_S, "40 s to pass")
        self._victim.thaw()
        trial.rig.wait_for(lambda: trial.group.is_stable(2), "the zombie to be a member again")
        trial.recovery()


class RebalanceStorm(Fault):
    """Members come and go without a pause."""

    name = "rebalance storm"
    meaning = "8 starts, stops and kills among three workers, half a second apart; from the group's rest"
    seconds = 75
    workers = 3

    def strike(self, trial: Trial) -> None:
        workers = trial.rig.workers
        for _ in range(8):
            victim = trial.draw.choice(workers)
            trial.killed.add(victim)
            if trial.draw.random() < 0.5:
                victim.kill()
            else:
                victim.process.terminate()
            trial.drawn("then", 0.1, 0.9)
            victim.process.wait(60)
            victim.start()
            trial.killed.discard(victim)
        trial.traffic.rate = 500
        trial.rig.wait_for(lambda: self._rests(trial), "the group to rest")

    @staticmethod
    def _rests(trial: Trial) -> bool:
        trial.supervise()
        return trial.group.is_stable(len(trial.rig.workers))
