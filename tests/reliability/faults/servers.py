"""Servers that die, hang, or have no room left."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from inference.bundles.bundle import load_bundle, starter_bundle_path
from inference.encoders.triton_repository import build_repository
from ops.errors import OpsError
from ops.stack.triton import Triton
from tests.reliability.faults.fault import Fault, SkippedError
from tests.reliability.servers import SmallDisk, hang, wake
from tests.reliability.trial import Trial


class BrokerKilled(Fault):
    """kill -9 of Kafka."""

    name = "broker kill -9"
    meaning = "Kafka is killed and started again after 0 to 6 s; from its first answer"

    def strike(self, trial: Trial) -> None:
        trial.kafka.kill()
        trial.outage(0, 6)
        trial.kafka.start()


class BrokerKilledUnderNewProtocol(BrokerKilled):
    """The same for workers whose group lives in the broker's own protocol, so that none has to rejoin."""

    name = "broker kill -9, KIP-848"
    meaning = "the same, with SIMPERSONA_GROUP_PROTOCOL=consumer"

    def arrange(self, trial: Trial) -> None:
        trial.settings["group_protocol"] = "consumer"


class BrokerHung(Fault):
    """SIGSTOP of Kafka."""

    name = "Kafka hung"
    meaning = "Kafka is stopped (SIGSTOP) for 3 to 20 s; from its first answer after SIGCONT"
    seconds = 60

    def strike(self, trial: Trial) -> None:
        hang(trial.kafka)
        trial.outage(3, 20)
        wake(trial.kafka)


class StoreKilled(Fault):
    """kill -9 of the store."""

    name = "store kill -9"
    meaning = "Valkey is killed and started again after 0 to 8 s; from its first answer"

    def strike(self, trial: Trial) -> None:
        trial.rig.valkey.kill()
        trial.outage(0, 8)
        trial.rig.valkey.start()


class StoreHung(Fault):
    """SIGSTOP of the store."""

    name = "store hung"
    meaning = "Valkey is stopped (SIGSTOP) for 3 to 20 s; from its first answer after SIGCONT"
    seconds = 55

    def strike(self, trial: Trial) -> None:
        hang(trial.rig.valkey)
        trial.outage(3, 20)
        wake(trial.rig.valkey)


class TritonKilled(Fault):
    """kill -9 of Triton."""

    name = "Triton kill -9"
    meaning = (
        "Triton is killed and started again after 0 to 8 s; workers encode in process or wait, as the seed "
        "draws; from its first answer"
    )
    seconds = 60

    def arrange(self, trial: Trial) -> None:
        repository = build_repository(load_bundle(starter_bundle_path()), trial.folder / "models")
        self._server = Triton(repository, trial.folder / "triton", owned=True)
        try:
            self._server.start()
        except (OpsError, OSError) as error:
            raise SkippedError(f"no Triton: {error}") from error
        trial.stack.callback(self._server.kill)
        on_failure = trial.draw.choice(("degrade", "wait"))
        trial.what.append(f"on failure: {on_failure}")
        trial.environment |= {
            "SIMPERSONA_ENCODER_RUNTIME": "triton",
            "SIMPERSONA_ENCODER_TRITON_URL": self._server.address,
            "SIMPERSONA_ENCODER_ON_FAILURE": on_failure,
        }

    def strike(self, trial: Trial) -> None:
        self._server.kill()
        trial.outage(0, 8)
        self._server.start()


class DiskFull(Fault):
    """The store's disk has no byte left."""

    name = "disk full"
    meaning = (
        "the store's file system (tmpfs of 256 MB) is full for 2 to 10 s, so that it refuses writes; from "
        "the moment there is room again"
    )

    def prepare(self, folder: Path, stack: ExitStack) -> None:
        try:
            self._disk = SmallDisk(folder / "valkey" / "data", 256)
        except OSError as error:
            raise SkippedError(str(error)) from error
        stack.callback(self._disk.close)

    def strike(self, trial: Trial) -> None:
        self._disk.fill()
        trial.outage(2, 10)
        self._disk.free()
