"""What tests of a swap on real servers ask and wait for."""

from __future__ import annotations

import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from feature_store.log.reader import LogReader
from feature_store.online.assignment import Assignment, decode_assignment
from ops.verify.report import VerifyReport
from streams.control import Swap, encode_command
from tests.rig import PARTITIONS, Rig


def swap_to(rig: Rig, folder: Path) -> None:
    rig.command(encode_command(Swap(bundle=str(folder))))


def assignments(rig: Rig) -> Iterator[Assignment]:
    with LogReader(rig.client_config()) as log:
        for number in range(PARTITIONS):
            for batch in log.read(rig.settings.assignments_topic, number):
                yield from (decode_assignment(message.value()) for message in batch)


def metric(port: int, line_start: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith((f"{line_start} ", f"{line_start}{{")):
                return float(line.rsplit(" ", 1)[1])
    return 0.0


def persona_versions(rig: Rig) -> Counter[str]:
    return Counter(
        decode_assignment(row).codebook_version
        for number in range(PARTITIONS)
        for _, row in rig.rows.all_personas(number)
    )


def wait_done(rig: Rig, version: str) -> None:
    def is_done() -> bool:
        owned = rig.rows.owned_of(list(range(PARTITIONS))).values()
        return all(tagged is not None and tagged == (version, True) for _, tagged, *_ in owned)

    rig.wait_for(is_done, f"every partition to be done with {version}")


def assert_all_is_well(rig: Rig) -> VerifyReport:
    report = rig.assert_nothing_lost()
    assert report.awaiting_swap == report.other_version == report.not_judged == 0, report
    assert report.personas == report.buyers
    return report
