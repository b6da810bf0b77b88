"""Each kind of byte in the store is damaged once, and verify names it; what the log gives is repaired."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from feature_store.contract.calibration import Curve
from inference.bundles.bundle import load_bundle, starter_bundle_path
from inference.encoders.onnx import OnnxEncoder
from ops.stack.valkey import Valkey
from tests.inference.calibration.test_in_force import calibration
from tests.ops.verify.damage import Mutation
from tests.ops.verify.live import MINUTE, Live
from tests.ops.verify.mutations import BEYOND_REPAIR, NOT_PROVABLE, mutations
from tests.strategies import START

Dump = dict[bytes, tuple[bytes, int]]


def a_whole_store(client: redis.Redis, topic: str) -> Live:
    """Two stores, sessions that go on and one that ended, several windows; all of it equal."""
    live = Live(client, topic, OnnxEncoder(load_bundle(starter_bundle_path())), now_ms=START + 90 * MINUTE)
    live.send(*(live.event(live.quiet, timestamp=START + n) for n in range(3)))
    version = live.encoder.codebook_version
    for n in range(400):
        if n == 100:
            live.calibrate(calibration("ours", "acme", version, forecast=Curve(a=1.3, b=0.4)))
        store = live.roll.choice(["acme", "bravo"])
        at = START + 40 * MINUTE + n * 2_000
        live.send(live.event(f"b{live.roll.randrange(25)}", store=store, timestamp=at))
    live.run()
    assert live.verify().equal, live.verify()
    return live


@pytest.fixture(scope="module")
def live(valkey: Valkey) -> Iterator[Live]:
    client = redis.Redis.from_url(valkey.address)
    whole = a_whole_store(client, "mutated")
    yield whole
    whole.rows.clear()
    client.close()


def dump(live: Live) -> Dump:
    names = list(live.client.scan_iter(match=f"{{{live.topic}:*"))
    return {name: (live.client.dump(name), max(0, live.client.pttl(name))) for name in names}  # type: ignore[type-var]


def restore(live: Live, kept: Dump) -> None:
    for name in live.client.scan_iter(match=f"{{{live.topic}:*"):
        live.client.delete(name)
    for name, (value, left_ms) in kept.items():
        live.client.restore(name, left_ms, value)  # type: ignore[arg-type]


def test_every_kind_of_key_has_its_mutations(live: Live) -> None:
    prefix = len(f"{{{live.topic}:0}}:")
    kinds = {name[prefix:].partition(b":")[0].decode() for name in dump(live)}
    assert kinds == {
        "progress",
        "codebook",
        "persona-writes",
        "open",
        "state",
        "persona",
        "window",
        "calibrations",
    }
    assert kinds <= {mutation.name.partition(":")[0].partition(".")[0] for mutation in mutations()}


@pytest.mark.parametrize("mutation", mutations(), ids=lambda mutation: mutation.name)
def test_a_damaged_byte_is_named(live: Live, mutation: Mutation) -> None:
    kept = dump(live)
    try:
        mutation.damage(live)
        assert dump(live) != kept, "the mutation changes nothing"
        report = live.verify()
        if mutation.name in NOT_PROVABLE:
            assert report.equal
            return
        assert not report.equal
        assert mutation.named in report.named, (mutation.named, report.named, report.examples)
        if mutation.name in BEYOND_REPAIR:
            return
        assert live.repair() > 0
        assert live.verify().equal, live.verify()
    finally:
        restore(live, kept)
