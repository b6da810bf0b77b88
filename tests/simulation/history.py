"""One history: the steps are taken, everything is healed, the workers come to rest, and the oracle looks."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from feature_store.contract.calibration import CALIBRATION_HEADER, Calibration, Curve, Gate
from feature_store.contract.erasure import Consent, ErasureRequest, encode_erasure
from feature_store.contract.events import EVENT_TYPES, Event, encode_event, record_key
from feature_store.errors import FatalProducerError, SimpersonaError
from feature_store.online.rows import OnlineRows
from streams.errors import ConsumerError
from tests.simulation.oracle import differences
from tests.simulation.steps import Step
from tests.simulation.store import Client
from tests.simulation.worker import SETTINGS, Outside, SimEncoder, Worker, erasures_of

_LIVES_AGAIN: Final = (ConsumerError, FatalProducerError)
"""What ends a process on purpose: a supervisor starts it again."""
_ROUNDS: Final = 300
_CALLS_PER_ROUND: Final = 60
_IDLE: Final = 2
"""A worker that found nothing so often in a row waits for time to go by."""
_IDLE_FOR_NOW: Final = 6
_CALLS_TO_END: Final = 3_000


@dataclass
class World:
    """The state that steps change."""

    outside: Outside
    workers: dict[int, Worker] = field(default_factory=dict)
    versions: list[int] = field(default_factory=lambda: [1])
    erased: list[tuple[bytes, int]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    stopping: list[Worker] = field(default_factory=list)
    lives: int = 0
    calls: int = 0
    """Outside calls of workers whose place another life has taken."""
    made: int = 0
    newest_ms: int = 0
    problem: str | None = None
    has_orders: bool = True
    """Whether purchases name an order; those of release 0.2.0 do not."""

    # ---- steps

    def take(self, step: Step) -> None:
        """Take a step; one that fits nothing that is there does nothing."""
        name, *args = step
        getattr(self, "_" + str(name).replace(" ", "_"))(*args)

    def _produce(self, buyer: int, count: int, seed: int) -> None:
        roll = random.Random(seed)
        for _ in range(count):
            self.outside.clock.wall_ms += roll.choice((10, 1_000, 20_000, 20_000, 1_000_000, 2_000_000))
            self._send(self._event(buyer, roll, self.outside.clock.wall_ms - roll.randrange(1_000)))

    def _late(self, buyer: int, seed: int) -> None:
        roll = random.Random(seed)
        back = roll.choice((5_000, 100_000, 3_000_000))
        self._send(self._event(buyer, roll, self.outside.clock.wall_ms - back))

    def _duplicate(self, back: int) -> None:
        if len(self.events) >= back:
            self._send(self.events[-back])

    def _send_again(self, buyer: int, count: int) -> None:
        """A request, batch or file is sent once more."""
        for event in [event for event in self.events if event.buyer == _buyer(buyer)][-count:]:
            self._send(event)

    def _poison(self, partition: int) -> None:
        number = partition % self.outside.partitions
        self.outside.clicks.append(b"acme|poison", b"{", self.outside.clock.wall_ms, number)

    def _gap(self, partition: int) -> None:
        self.outside.clicks.leave_gap(partition % self.outside.partitions)

    def _hole(self, partition: int) -> None:
        for worker in self.workers.values():
            worker.consumer.skip_once(partition % self.outside.partitions)

    def _rewind(self, worker: int, partition: int, count: int) -> None:
        if worker in self.workers:
            self.workers[worker].consumer.rewind(partition % self.outside.partitions, count)

    def _start(self, worker: int) -> None:
        if worker in self.workers and self.workers[worker].process.alive:
            return
        self.lives += 1
        if worker in self.workers and self.workers[worker] not in self.stopping:
            self.calls += self.workers[worker].process.calls
        self.workers[worker] = Worker(self.outside, f"w{worker}.{self.lives}", self.versions[-1])

    def _run(self, worker: int, calls: int) -> None:
        it = self.workers.get(worker)
        for _ in range(calls):
            if it is None or not it.process.alive or it.process.frozen or it.consumer.idle > _IDLE_FOR_NOW:
                return
            self._step(it)

    def _tick(self, ms: int) -> None:
        self.outside.clock.advance(ms / 1000)
        self.outside.group.expire()

    def _jump(self, ms: int) -> None:
        self.outside.clock.wall_ms += ms

    def _kill(self, worker: int, share: int) -> None:
        if worker in self.workers:
            self.workers[worker].process.kill(share / 100)

    def _stop(self, worker: int) -> None:
        it = self.workers.get(worker)
        if it is not None and it.process.alive:
            it.loop.stop()
            self.stopping.append(it)

    def _freeze(self, worker: int) -> None:
        it = self.workers.get(worker)
        if it is not None and it.process.alive:
            it.consumer.heard_at()
            it.process.frozen = True

    def _thaw(self, worker: int) -> None:
        if worker in self.workers:
            self.workers[worker].process.frozen = False

    def _expel(self, worker: int) -> None:
        if worker in self.workers:
            self.outside.group.leave(self.workers[worker].consumer)

    def _store_gone(self) -> None:
        self.outside.server.is_gone = True

    def _store_back(self) -> None:
        self.outside.server.is_gone = False

    def _row_damaged(self, buyer: int) -> None:
        """A buyer's state row can no longer be read."""
        self.outside.server.damage(b"}:state:", record_key("acme", _buyer(buyer)))

    def _progress_damaged(self, partition: int) -> None:
        """Where a partition stands can no longer be read."""
        self.outside.server.damage(b"{%s:%d" % (SETTINGS.topic.encode(), partition), b"}:progress")

    def _rows_mended(self) -> None:
        """As `verify --repair` leaves them."""
        self.outside.server.mend()

    def _store_kept(self) -> None:
        self.outside.server.keep()

    def _store_rolled_back(self) -> None:
        self.outside.server.go_back()

    def _answer_lost(self, worker: int) -> None:
        if worker in self.workers:
            self.workers[worker].process.answer_lost = True

    def _flush_fails(self, worker: int, how: str) -> None:
        if worker in self.workers:
            self.workers[worker].process.flush_fails = how

    def _encoder_gone(self, worker: int) -> None:
        if worker in self.workers:
            self.workers[worker].process.encoder_gone = True

    def _swap(self, version: int) -> None:
        self.versions.append(version)
        for worker in self.workers.values():
            encoder = SimEncoder(version, worker.process)
            worker.loop.submit(lambda it, encoder=encoder: it.swap(encoder))  # type: ignore[misc]

    def _calibrate(self, version: int, seed: int) -> None:
        """A calibration is published in each partition, or not in the last ones: the job died."""
        roll = random.Random(seed)
        curves = [Curve(a=roll.choice((0.4, 1.0, 2.5)), b=roll.choice((-2.0, 0.5, 2.0))) for _ in range(2)]
        calibration = Calibration(
            store=roll.choice(("acme", "acme", "acme", "elsewhere")),
            codebook_version=f"v{version}",
            calibration_id=f"c{seed}",
            fitted_on=700,
            gate={"confidence": Gate(passed=True, sessions=700)},
            confidence=roll.choice((*curves, None)),
            forecast=roll.choice((*curves, None)),
            holds=roll.random() < 0.8,
        )
        headers = calibration.headers() if roll.random() < 0.9 else [(CALIBRATION_HEADER, b"{")]
        for number in range(roll.choice((self.outside.partitions, roll.randrange(4)))):
            if number < self.outside.partitions:
                self.outside.clicks.append(None, None, self.outside.clock.wall_ms, number, headers)

    def _calibration_damaged(self, partition: int) -> None:
        """What a partition keeps of its calibrations can no longer be read."""
        self.outside.server.damage(b"{%s:%d" % (SETTINGS.topic.encode(), partition), b"}:calibrations")

    def _erase(self, buyer: int, is_told: int, consent: Consent | None = None) -> None:
        """is_told: who asked has lived to write the place of the request to the topic of erasures."""
        key, at = record_key("acme", _buyer(buyer)), self.outside.clock.wall_ms
        asked = ErasureRequest(requested_at=at, consent=consent)
        record = self.outside.clicks.append(key, None, at, headers=asked.headers())
        erasure = asked.at(record.partition_, record.offset_)
        self.erased.append((key, erasure.before_offset))
        if is_told:
            self.outside.logs[SETTINGS.erasures_topic].append(key, encode_erasure(erasure), at)

    def _withdraw(self, buyer: int, is_told: int) -> None:
        """A shopper withdraws consent."""
        self._erase(buyer, is_told, "withdrawn")

    def _give(self, buyer: int, is_told: int) -> None:
        """A shopper gives consent, withdrawn before or not."""
        self._erase(buyer, is_told, "given")

    # ---- inside

    def _event(self, buyer: int, roll: random.Random, at_ms: int) -> Event:
        self.made += 1
        product = roll.randrange(6)
        return Event(
            schema_version=1,
            event_id=f"e{self.made}",
            store="acme",
            buyer=_buyer(buyer),
            type=roll.choice((*EVENT_TYPES, "purchase", "refund")),  # type: ignore[arg-type]
            timestamp=at_ms,
            product_id=f"p{product}",
            category=f"c{product % 3}",
            price=float(product),
            currency="USD",
            value=None if product % 2 else float(product),
            order=f"o{roll.randrange(4)}" if self.has_orders else None,
        )

    def _send(self, event: Event) -> None:
        self.events.append(event)
        key = record_key(event.store, event.buyer)
        self.outside.clicks.append(key, encode_event(event), self.outside.clock.wall_ms)

    def _step(self, worker: Worker) -> None:
        worker.process.step()
        error = worker.process.ended_with
        if error is not None and not isinstance(error, _LIVES_AGAIN):
            self.problem = f"crashed: {type(error).__name__}: {error}"

    # ---- the end

    def settle(self) -> None:
        """Heal everything, and run until nothing is left to do."""
        self.outside.server.is_gone = False
        self.outside.server.mend()
        for worker in self.workers.values():
            worker.process.frozen = False
        for _ in range(_ROUNDS):
            if self.problem is not None:
                return
            if not any(worker.process.alive for worker in self._staying()):
                self._start(0)
            for worker in list(self.workers.values()) + self.stopping:
                worker.consumer.idle = 0
                for _ in range(_CALLS_PER_ROUND):
                    if not worker.process.alive or worker.consumer.idle > _IDLE:
                        break
                    self._step(worker)
            self._tick(400)
            if self._is_at_rest():
                return
        self.problem = "does not come to rest: " + self._unrest()

    def end(self) -> None:
        """SIGTERM for all: each must end."""
        for worker in [*self.workers.values(), *self.stopping]:
            worker.loop.stop()
            for _ in range(_CALLS_TO_END):
                if not worker.process.alive:
                    break
                self._step(worker)
            else:
                self.problem = self.problem or "hangs after SIGTERM"
                worker.process.kill(0)

    def _staying(self) -> list[Worker]:
        return [worker for worker in self.workers.values() if worker not in self.stopping]

    def _rows(self) -> OnlineRows:
        return OnlineRows.over(Client(self.outside.server), SETTINGS.topic)  # type: ignore[arg-type]

    def _is_at_rest(self) -> bool:
        return not self._unrest()

    def _unrest(self) -> str:
        numbers = list(range(self.outside.partitions))
        for number, (progress, tagged, *_) in self._rows().owned_of(numbers).items():
            last = max(self.outside.clicks.records[number], default=-1) + 1
            if (progress.next_offset if progress else 0) < last:
                return f"partition {number} is folded to {progress}, its last record is {last - 1}"
            if tagged != (f"v{self.versions[-1]}", True):
                return f"partition {number} is tagged {tagged}, asked for was v{self.versions[-1]}"
        done = erasures_of(self.outside.logs[SETTINGS.erasures_topic]).by_key
        for key, before in self.erased:
            if key not in done or done[key].before_offset < before or done[key].erased_at is None:
                return "an erasure waits"
        return ""


class History:
    """One history, to be lived through once."""

    def __init__(self, steps: Sequence[Step]) -> None:
        """steps: the first may be ("world", partitions, buyers that a cache holds)."""
        shape = steps[0][1:] if steps and steps[0][0] == "world" else (2, 4)
        self._steps = [step for step in steps if step[0] != "world"]
        self._world = World(Outside(*map(int, shape)))
        self.counts: Counter[str] = Counter(str(step[0]) for step in self._steps)
        """How often each step was taken; after `live` also events, lives and outside calls."""

    def logs(self) -> dict[str, list[tuple[int, int, bytes | None, bytes | None]]]:
        """What the topics hold: by topic, (partition, offset, key, value)."""
        return {
            name: [(r.partition_, r.offset_, r.key_, r.value_) for held in log.records for r in held.values()]
            for name, log in self._world.outside.logs.items()
        }

    def live(self) -> str | None:
        """Take the steps, heal, rest, look; what is wrong, or None."""
        world = self._world
        try:
            for step in self._steps:
                world.take(step)
                if world.problem is not None:
                    return world.problem
            world.settle()
            if world.problem is None:
                world.problem = differences(world.outside, world.versions)
            if world.problem is None:
                world.end()
            return world.problem
        except SimpersonaError as error:
            return f"raised {type(error).__name__}: {error}"
        finally:
            everybody = [*world.workers.values(), *world.stopping]
            self.counts["outside calls"] = world.calls + sum(worker.process.calls for worker in everybody)
            self.counts["events"] = sum(world.outside.clicks.ends)
            self.counts["lives"] = world.lives
            for worker in everybody:
                worker.process.frozen = False
                worker.process.kill(0)


def run(steps: Sequence[Step]) -> str | None:
    """Live through a history; what is wrong at its end, or None."""
    return History(steps).live()


def _buyer(number: int) -> str:
    return f"{number:016x}"
