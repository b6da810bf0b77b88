"""Triton dies in the ways it does; every batch is answered, with the codes of the bundle."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import tritonclient.grpc as client

from inference.bundles.bundle import Bundle, load_bundle
from inference.encoders.encoder import Encoder
from inference.encoders.onnx import OnnxEncoder
from inference.encoders.settings import EncoderSettings, make_encoder
from inference.encoders.triton import TritonEncoder
from inference.encoders.triton_repository import build_repository
from inference.errors import EncoderUnavailableError
from ops.stack.triton import Triton
from tests.inference.made_bundles import make_bundle, random_vectors
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.faults]


class Stream:
    """Batch after batch through an encoder; each must get the codes that the bundle gives."""

    def __init__(self, bundle: Bundle, server: Triton, on_failure: str = "degrade") -> None:
        self.modes: list[str] = []
        settings = EncoderSettings(
            runtime="triton",
            bundle=bundle.folder,
            triton_url=server.address,
            timeout_s=1.0,
            on_failure=on_failure,
            retry_s=0.2,
        )
        self.encoder: Encoder = make_encoder(settings, self.modes.append)
        self._vectors = random_vectors(300)
        self._expected = OnnxEncoder(bundle).encode(self._vectors)

    def send(self, batches: int) -> None:
        for _ in range(batches):
            answer = self.encoder.encode(self._vectors)
            for column, expected in zip(answer, self._expected, strict=True):
                assert column.tobytes() == expected.tobytes()

    def send_until(self, mode: str) -> None:
        def arrived() -> bool:
            self.send(1)
            return self.modes[-1:] == [mode]

        wait_until(arrived, f"the mode {mode}")


@pytest.fixture
def stream(starter: Bundle, own_triton: Triton) -> Iterator[Stream]:
    stream = Stream(starter, own_triton)
    stream.send(3)
    assert stream.modes == []
    yield stream
    stream.encoder.close()


def test_a_killed_server_is_replaced_and_found_again(stream: Stream, own_triton: Triton) -> None:
    own_triton.kill()
    stream.send(20)
    assert stream.modes == ["degraded"]
    own_triton.start()
    stream.send_until("primary")
    stream.send(3)
    assert stream.modes == ["degraded", "primary"]


def test_a_dead_stub_is_noticed_and_repaired_though_the_server_says_ready(
    stream: Stream, own_triton: Triton
) -> None:
    """A stub that died is never restarted, and the model stays ready: only an inference tells."""
    process = own_triton.process
    assert process is not None
    stubs = [it for it in process.children(recursive=True) if "python_backend_stub" in it.cmdline()[0]]
    assert stubs
    for stub in stubs:
        stub.kill()
    stream.send_until("degraded")
    with client.InferenceServerClient(own_triton.address) as server:
        assert server.is_model_ready("encoder")
    stream.send_until("primary")  # unloaded and loaded by itself, while the fallback answered
    stream.send(3)


def test_a_server_that_hangs_meets_the_deadline(stream: Stream, own_triton: Triton) -> None:
    process = own_triton.process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        stream.send(3)
        assert stream.modes == ["degraded"]
    finally:
        process.send_signal(signal.SIGCONT)
    stream.send_until("primary")


def test_a_server_that_comes_back_with_another_bundle_is_not_asked(
    stream: Stream, own_triton: Triton, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals: list[str] = []
    probe = TritonEncoder.probe

    def heard(encoder: TritonEncoder) -> None:
        try:
            probe(encoder)
        except EncoderUnavailableError as error:
            refusals.append(str(error))
            raise

    own_triton.kill()
    build_repository(make_bundle(tmp_path / "other"), tmp_path / "models")
    own_triton.start()
    monkeypatch.setattr(TritonEncoder, "probe", heard)

    def refused_again_and_again() -> bool:
        stream.send(1)
        return sum("connect" not in told for told in refusals) >= 3

    wait_until(refused_again_and_again, f"the new server to refuse; so far {refusals}")
    assert stream.modes == ["degraded"]


def test_waiting_refuses_until_the_server_is_back(starter: Bundle, own_triton: Triton) -> None:
    stream = Stream(load_bundle(starter.folder), own_triton, on_failure="wait")
    stream.send(1)
    own_triton.kill()
    for _ in range(3):
        with pytest.raises(EncoderUnavailableError):
            stream.send(1)
    assert stream.modes == ["waiting"]
    own_triton.start()

    def answered() -> bool:
        try:
            stream.send(1)
        except EncoderUnavailableError:
            return False
        return True

    wait_until(answered, "an answer")
    assert stream.modes == ["waiting", "primary"]
    stream.encoder.close()
