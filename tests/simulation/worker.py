"""A worker as `streams.app` puts it together, with the simulated outside in place of the real one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from feature_store.contract.erasure import Erasures
from feature_store.fold.vector import SCALARS
from feature_store.log.producer import Output
from feature_store.online.rows import OnlineRows
from inference.counts.windows import WindowSettings
from inference.encoders.encoder import Encoder, Encoding
from inference.errors import EncoderUnavailableError
from streams.live.loop import ConsumerLoop
from streams.live.pending import PendingErasures, folded_to
from streams.live.tagger import Tagger
from streams.metrics import WorkerMetrics
from streams.settings import WorkerSettings
from tests.simulation.kafka import Group, Log, Record, SimConsumer, SimProducer
from tests.simulation.outside import Process, SimClock
from tests.simulation.store import Client, Server

METRICS: Final = WorkerMetrics()  # of all workers: nothing here is judged by them
SETTINGS: Final = WorkerSettings(
    topic="clicks",
    assignments_topic="said",
    dead_letters_topic="dead",
    erasures_topic="erasures",
    control_topic="control",
    batch_events=6,
    checkpoint_ms=1_000,
    checkpoint_rows=12,
    flush_timeout_s=1.0,
    reencode_share=1.0,
).model_copy(update={"cache_mb": 0})
WINDOWS: Final = WindowSettings()


class SimEncoder:
    """A codebook without a model: code, type and confidence are integer functions of a state's scalars."""

    types = ("looker", "comparer", "buyer")
    stores = frozenset({"acme", "beta"})

    def __init__(self, version: int, process: Process | None = None) -> None:
        self._process = process
        self.codebook_version = f"v{version}"
        self._weights = np.arange(1, len(SCALARS) + 1, dtype=np.int64) ** 2 + version

    def encode(self, vectors: NDArray[np.float32]) -> Encoding:
        """See Encoder."""
        if self._process is not None and self._process.encoder_gone:
            self._process.encoder_gone = False
            raise EncoderUnavailableError("the encoder does not answer")
        whole = np.floor(np.abs(vectors[:, : len(SCALARS)])).astype(np.int64)
        code = (whole @ self._weights // 3) % 5
        kind = code % len(self.types)
        level = (whole.sum(axis=1) % 4).astype(np.float32)
        forecast, chance = (code + 1) % len(self.types), np.float32(0.9) - level / 5
        figures = level + np.float32(0.5), level + np.float32(0.25)
        return Encoding(code, *figures, kind, 0.2 + level / 5, forecast, chance)

    def probe(self) -> None:
        """It is always well."""

    def close(self) -> None:
        """Nothing to close."""


class SimWholeTopic:
    """WholeTopic over a simulated log."""

    def __init__(self, process: Process, log: Log) -> None:
        self._process, self._log = process, log
        self._at = [0] * len(log.ends)

    def restart(self) -> None:
        """Read from the beginning again."""
        self._at = [0] * len(self._at)

    def to_end(self) -> Iterator[list[Record]]:
        """What was not read yet, up to the present end."""
        self._process.outside()
        yield self._new()

    def arrived(self) -> list[Record]:
        """What has come since."""
        return self._new()

    def _new(self) -> list[Record]:
        records = []
        for number, end in enumerate(self._log.ends):
            records += self._log.range(number, self._at[number], end)
            self._at[number] = end
        return records


def erasures_of(log: Log) -> Erasures:
    """All that the topic of erasures says."""
    erasures = Erasures()
    for number, end in enumerate(log.ends):
        erasures.take(log.range(number, 0, end))
    return erasures


@dataclass
class Outside:
    """What all workers share: the logs by topic, the group, the store, the clock."""

    partitions: int
    cache_buyers: int
    clock: SimClock = field(default_factory=SimClock)
    server: Server = field(init=False)
    logs: dict[str, Log] = field(init=False)
    group: Group = field(init=False)

    def __post_init__(self) -> None:
        self.server = Server(self.clock)
        names = (
            SETTINGS.topic,
            SETTINGS.assignments_topic,
            SETTINGS.dead_letters_topic,
            SETTINGS.erasures_topic,
        )
        self.logs = {name: Log(name, self.partitions) for name in names}
        self.group = Group(self.clock, self.partitions)

    @property
    def end_of_time(self) -> int:
        """Beyond every offset."""
        return 2**62

    @property
    def clicks(self) -> Log:
        """The clickstream."""
        return self.logs[SETTINGS.topic]


class Worker:
    """One life of a worker process."""

    def __init__(
        self,
        outside: Outside,
        name: str,
        version: int,
        *,
        encoder: Encoder | None = None,
        rows: OnlineRows | None = None,
    ) -> None:
        """encoder and rows: real ones, in place of the codebook `version` and the simulated store."""
        self.process = Process(name, self._run)
        process, clock = self.process, outside.clock
        self.consumer = SimConsumer(process, outside.clicks, outside.group)
        rows = rows or OnlineRows.over(Client(outside.server, process), SETTINGS.topic)  # type: ignore[arg-type]

        def make_producer(config: dict[str, Any]) -> Any:
            return SimProducer(process, outside.logs, clock, config)

        def ends(numbers: Sequence[int]) -> dict[int, int]:
            process.outside()
            return {number: outside.clicks.ends[number] for number in numbers}

        output = Output({}, SETTINGS.flush_timeout_s, make_producer)
        topic: Any = SimWholeTopic(process, outside.logs[SETTINGS.erasures_topic])
        erasures = PendingErasures(topic, partial(folded_to, rows, outside.partitions))
        encoder = encoder or SimEncoder(version, process)
        self.tagger = Tagger(
            SETTINGS, rows, output, encoder, erasures, METRICS, outside.partitions, WINDOWS, clock
        )
        self.tagger.cache.capacity = outside.cache_buyers
        self.loop = ConsumerLoop(
            SETTINGS,
            self.consumer,
            ends,
            rows,
            output,
            self.tagger,
            erasures,
            METRICS,
            clock,  # type: ignore[arg-type]
        )

    def _run(self, _process: Process) -> None:
        self.loop.run()
