"""A new version onto a real Triton that answers all the while."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import tritonclient.grpc as client

from inference.bundles.bundle import Bundle
from inference.encoders.onnx import OnnxEncoder
from inference.encoders.triton import TritonEncoder
from inference.encoders.triton_live import put_live
from inference.encoders.triton_repository import model_version
from inference.errors import EncoderUnavailableError
from ops.stack.triton import Triton
from tests.inference.made_bundles import make_bundle, random_vectors

pytestmark = pytest.mark.integration


@contextmanager
def asked_all_the_while(bundle: Bundle, url: str) -> Iterator[list[int]]:
    """A client of one version asks without a pause; yields how often it was answered, and rightly."""
    encoder, vectors = TritonEncoder(bundle, url, timeout_s=10.0), random_vectors(64)
    expected = OnnxEncoder(bundle).encode(vectors).code.tolist()
    answered, ending = [0], threading.Event()
    failed: list[BaseException] = []

    def ask() -> None:
        while not ending.is_set():
            try:
                assert encoder.encode(vectors).code.tolist() == expected
            except (EncoderUnavailableError, AssertionError) as error:
                failed.append(error)
            answered[0] += 1

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answered
    finally:
        ending.set()
        thread.join()
        encoder.close()
    assert not failed, failed[:3]
    assert answered[0] > 0


def versions(url: str) -> set[int]:
    with client.InferenceServerClient(url) as server:
        return {int(version) for version in server.get_model_metadata("encoder").versions}


def test_versions_come_and_go_without_a_failed_request(
    starter: Bundle, own_triton: Triton, tmp_path: Path
) -> None:
    url, repository = own_triton.address, own_triton.model_repository
    second = make_bundle(tmp_path / "second", seed=2, codebook_version="second")
    third = make_bundle(tmp_path / "third", seed=3, codebook_version="third")
    with asked_all_the_while(starter, url):
        assert put_live(second, repository, url) == [model_version(starter), model_version(second)]
        TritonEncoder(second, url).check_server()
    with asked_all_the_while(second, url):
        assert put_live(third, repository, url) == [model_version(second), model_version(third)]
        TritonEncoder(third, url).check_server()
    assert versions(url) == {model_version(second), model_version(third)}
    assert not (repository / "encoder" / str(model_version(starter))).exists()
    with asked_all_the_while(third, url):  # a rollback is the same move
        put_live(second, repository, url)
        TritonEncoder(second, url).check_server()


def test_a_version_that_cannot_be_loaded_leaves_server_and_repository_as_they_were(
    starter: Bundle, own_triton: Triton, tmp_path: Path
) -> None:
    import msgspec

    url, repository = own_triton.address, own_triton.model_repository
    config = (repository / "encoder" / "config.pbtxt").read_bytes()
    broken = msgspec.structs.replace(make_bundle(tmp_path / "broken", seed=4), model=b"not a graph")
    with (
        asked_all_the_while(starter, url),
        pytest.raises(EncoderUnavailableError, match="did not load"),
    ):
        put_live(broken, repository, url)
    assert (repository / "encoder" / "config.pbtxt").read_bytes() == config
    assert model_version(starter) in versions(url)
    own_triton.kill()
    own_triton.start()
    TritonEncoder(starter, url).check_server()
