"""docs/examples/receive_webhook.py against what the sink posts."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from feature_store.contract.erasure import Erasure
from ops.stack.processes import free_ports
from streams.sinks.sink import Answer, Busy, Taken
from streams.sinks.telling import Erased
from streams.sinks.webhook.letters import Letter, SignedBatch
from streams.sinks.webhook.post import Post
from tests.streams.sinks.webhook.receiver import KEY, SECRET
from tests.streams.sinks.webhook.test_letters import item
from tests.waiting import wait_until

EXAMPLE = Path(__file__).parents[4] / "docs" / "examples" / "receive_webhook.py"
FRESH = bytes(range(32, 64))
ERASED = Erased(
    "erasure-0-2",
    "acme",
    "9f2c",
    0,
    b"acme|9f2c",
    Erasure(partition=0, before_offset=2, requested_at=1),
    ("erasures", 0, 0),
)


class Example:
    """The receiver as a process, and a way to it."""

    def __init__(self, secret: str) -> None:
        (port,) = free_ports(1)
        self.process = subprocess.Popen(
            [sys.executable, str(EXAMPLE), str(port)],
            env=os.environ | {"SIMPERSONA_WEBHOOK_SECRET": secret},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.url = f"http://127.0.0.1:{port}/"
        nothing = SignedBatch(base64.b64decode(secret.removeprefix("whsec_"))).write([])
        wait_until(lambda: self.post(nothing) == Taken(), "the receiver")

    def post(self, letter: Letter) -> Answer:
        with closing(Post(self.url, 30.0)) as sender:
            return sender.send(letter)

    def said(self) -> list[str]:
        """End it; the lines that it wrote."""
        self.process.terminate()
        return self.process.communicate(timeout=60)[0].splitlines()


@pytest.fixture
def example() -> Iterator[Example]:
    it = Example(SECRET)
    yield it
    it.process.kill()
    it.process.wait()


def test_either_secret_is_enough(example: Example) -> None:
    assert example.post(SignedBatch(KEY, FRESH).write([item(1)])) == Taken()
    assert example.post(SignedBatch(FRESH, KEY).write([item(2)])) == Taken()
    refused = example.post(SignedBatch(FRESH).write([item(3)]))
    assert isinstance(refused, Busy)
    assert refused.why.startswith("401")
    assert len(example.said()) == 2


def test_who_was_erased_is_forgotten(example: Example) -> None:
    form = SignedBatch(KEY)
    for letter in (form.write([item(1)]), form.tell([ERASED]), form.write([item(2)]), form.tell([ERASED])):
        assert example.post(letter) == Taken()
    assert [line.split(" is ")[1] for line in example.said()] == [
        "<|persona_1|>",
        "forgotten",
        "<|persona_2|>",
        "forgotten",
    ]
