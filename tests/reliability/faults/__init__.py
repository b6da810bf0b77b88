"""The faults of the matrix, by name."""

from __future__ import annotations

from typing import Final

from tests.reliability.faults.fault import Fault
from tests.reliability.faults.network import HalfOpenNetwork, NetworkCut
from tests.reliability.faults.senders import ClockSkew, Duplicates, HugeEvent, Poison, Reordering
from tests.reliability.faults.servers import (
    BrokerHung,
    BrokerKilled,
    BrokerKilledUnderNewProtocol,
    DiskFull,
    StoreHung,
    StoreKilled,
    TritonKilled,
)
from tests.reliability.faults.workers import RebalanceStorm, WorkerKilled, WorkerStopped

FAULTS: Final[dict[str, type[Fault]]] = {
    fault.name: fault
    for fault in (
        WorkerKilled,
        WorkerStopped,
        RebalanceStorm,
        BrokerKilled,
        BrokerKilledUnderNewProtocol,
        BrokerHung,
        StoreKilled,
        StoreHung,
        TritonKilled,
        DiskFull,
        NetworkCut,
        HalfOpenNetwork,
        Poison,
        HugeEvent,
        Duplicates,
        Reordering,
        ClockSkew,
    )
}
