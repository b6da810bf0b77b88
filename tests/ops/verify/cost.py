"""What verification costs: `python -m tests.ops.verify.cost [BUYERS] [EVENTS_PER_BUYER]`, on a Valkey.

Traffic goes through the real tagger; then the core compares it, in CPU seconds of this process. Reading Kafka
and the archive is not in it.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import redis

from inference.bundles.bundle import load_bundle, starter_bundle_path
from inference.counts.offline import warm_up
from inference.encoders.onnx import OnnxEncoder
from ops.stack.valkey import Valkey
from tests.ops.verify.live import Live


def measure(buyers: int, each: int) -> None:
    """Print the cost of one verification of so many buyers with so many events each."""
    with tempfile.TemporaryDirectory() as folder:
        valkey = Valkey(Path(folder), owned=True)
        valkey.start()
        client = redis.Redis.from_url(valkey.address)
        try:
            warm_up()
            live = Live(client, "cost", OnnxEncoder(load_bundle(starter_bundle_path())), partitions=1)
            for _ in range(each):
                for n in range(buyers):
                    live.send(live.event(f"{n:016x}", timestamp=1_763_900_000_000 + live.sent * 5))
                live.tag(batch=4_000)
                live.checkpoint()
            live.run(every=100_000)
            before = resource.getrusage(resource.RUSAGE_SELF)
            began, cpu = time.perf_counter(), time.process_time()
            report = live.verify()
            spent = time.process_time() - cpu
            after = resource.getrusage(resource.RUSAGE_SELF)
            assert report.equal, report
            print(
                f"{buyers} buyers, {live.sent} events, {report.assignments} assignments: "
                f"{spent:.1f} CPU s, {time.perf_counter() - began:.1f} s, "
                f"peak memory {(after.ru_maxrss - before.ru_maxrss) / 1024:.0f} MB above "
                f"{before.ru_maxrss / 1024:.0f} MB"
            )
        finally:
            client.close()
            valkey.kill()


if __name__ == "__main__":
    measure(*(int(argument) for argument in (*sys.argv[1:], "100000", "4")[:2]))
