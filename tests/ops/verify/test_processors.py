"""What a worker assigned on one kind of processor, verified on another: equal, and ties named as ties."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import redis
from numpy.typing import NDArray

from feature_store.online.rows import OnlineRows
from inference.bundles.bundle import load_bundle, starter_bundle_path
from inference.encoders.encoder import Encoder, Encoding
from inference.encoders.onnx import OnnxEncoder
from ops.stack.valkey import Valkey
from tests.inference.made_bundles import random_vectors
from tests.ops.verify.live import Live
from tests.ops.verify.other_processor import OtherProcessor

MakeWith = Callable[[Encoder], Live]


@pytest.fixture
def make_with(valkey: Valkey, topic_name: str) -> Iterator[MakeWith]:
    client = redis.Redis.from_url(valkey.address)
    yield lambda encoder: Live(client, topic_name, encoder)
    OnlineRows.over(client, topic_name).clear()
    client.close()


class Tying:
    """The starter's encoder, where the nearest code and the one numbered after it are equally near.

    prefers: by how much the code is moved on, 0 or 1. margin: what it says of how near the two are.
    """

    def __init__(self, prefers: int, margin: float = 0.0) -> None:
        self._encoder = OnnxEncoder(load_bundle(starter_bundle_path()))
        self.codebook_version, self.types = self._encoder.codebook_version, self._encoder.types
        self.stores = self._encoder.stores
        self._prefers, self._margin = prefers, margin

    def encode(self, vectors: NDArray[np.float32]) -> Encoding:
        found = self._encoder.encode(vectors)
        tied = found.code % 3 == 0
        code = np.where(tied, (found.code + self._prefers) % 256, found.code)
        return found._replace(code=code, margin=np.where(tied, np.float32(self._margin), found.margin))

    def probe(self) -> None:
        """Always well."""

    def close(self) -> None:
        """Nothing to close."""


def some_traffic(live: Live, events: int) -> None:
    live.send(*(live.event(f"b{live.roll.randrange(25)}") for _ in range(events)))


def test_two_instruction_sets_differ_in_the_last_digits_and_are_equal(make_with: MakeWith) -> None:
    bundle = load_bundle(starter_bundle_path())
    one, two = OtherProcessor(bundle, "Prescott"), OtherProcessor(bundle, "Haswell")
    vectors = random_vectors(200)
    assert (one.encode(vectors).distance != two.encode(vectors).distance).any(), "they sum alike: no test"
    live = make_with(one)
    some_traffic(live, 250)
    live.run()
    for oracle in (two, OnnxEncoder(bundle)):
        live.oracle[bundle.codebook_version] = oracle
        report = live.verify()
        assert report.equal, report
        assert report.assignments > 50
    one.close()
    two.close()


def test_ties_are_named_as_ties_and_the_counts_are_of_what_was_assigned(make_with: MakeWith) -> None:
    live = make_with(Tying(prefers=1))
    some_traffic(live, 300)
    live.run()
    live.oracle[live.encoder.codebook_version] = Tying(prefers=0)
    report = live.verify()
    assert report.equal, report
    assert report.ties > 20
    assert report.windows_in_part == 0


@pytest.mark.parametrize("oracle", [0, 1])
def test_an_owner_on_another_processor_that_takes_over_in_a_tie_is_equal(
    make_with: MakeWith, oracle: int
) -> None:
    live = make_with(Tying(prefers=1))
    some_traffic(live, 400)
    for turn in range(8):
        live.tag(30)
        live.checkpoint()
        live.tag(20)
        live.start(Tying(prefers=turn % 2))
    live.run()
    live.oracle[live.encoder.codebook_version] = Tying(prefers=oracle)
    report = live.verify()
    assert report.equal, report
    assert report.ties > 5


def test_another_code_that_is_not_as_near_is_contradicting(make_with: MakeWith) -> None:
    live = make_with(Tying(prefers=1, margin=0.3))
    some_traffic(live, 100)
    live.run()
    live.oracle[live.encoder.codebook_version] = Tying(prefers=0, margin=0.3)
    report = live.verify()
    assert report.contradicting > 5
    assert report.named["assignment.code"] == report.contradicting
