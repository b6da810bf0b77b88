from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as client
from tritonclient.utils import InferenceServerException

from feature_store.fold.vector import VECTOR_SIZE
from inference.bundles.bundle import Bundle
from inference.encoders.encoder import Encoding
from inference.encoders.onnx import OnnxEncoder
from inference.encoders.triton import TritonEncoder
from inference.errors import BundleError, EncoderUnavailableError, InvalidVectorError
from ops.stack.triton import Triton
from tests.inference.made_bundles import make_bundle, random_vectors

pytestmark = pytest.mark.integration


@pytest.fixture
def encoder(starter: Bundle, triton: Triton) -> Iterator[TritonEncoder]:
    encoder = TritonEncoder(starter, triton.address)
    yield encoder
    encoder.close()


def bits(parts: list[Encoding]) -> list[bytes]:
    return [np.concatenate(column).tobytes() for column in zip(*parts, strict=True)]


def send(server: client.InferenceServerClient, rows: np.ndarray) -> client.InferResult:
    """What a client does that checks nothing."""
    vector = client.InferInput("vector", list(rows.shape), "FP32")
    vector.set_data_from_numpy(rows)
    return server.infer("encoder", [vector])


def test_the_server_has_the_bundle_and_answers_as_it_does(encoder: TritonEncoder) -> None:
    encoder.check_server()


@pytest.mark.parametrize("batch", [1, 7, 256, 4096])
def test_both_runtimes_give_the_same_bits(encoder: TritonEncoder, starter: Bundle, batch: int) -> None:
    vectors = random_vectors(10_000, seed=batch)
    in_process = OnnxEncoder(starter).encode(vectors)
    parts = [encoder.encode(vectors[start : start + batch]) for start in range(0, len(vectors), batch)]
    assert bits(parts) == bits([in_process])
    assert [column.dtype for column in parts[0]] == [column.dtype for column in in_process]
    assert len(np.unique(in_process.code)) > 100


def test_requests_share_a_run_and_keep_their_bits(
    encoder: TritonEncoder, starter: Bundle, triton: Triton
) -> None:
    vectors = random_vectors(6_000)
    edges = np.cumsum([0, *np.random.default_rng(0).integers(1, 25, 400)])
    batches = [vectors[a:b] for a, b in itertools.pairwise(edges.tolist())]
    with client.InferenceServerClient(triton.address) as server:
        before = server.get_inference_statistics("encoder").model_stats[0]
        with ThreadPoolExecutor(8) as threads:
            parts = list(threads.map(encoder.encode, batches))
        after = server.get_inference_statistics("encoder").model_stats[0]
    assert bits(parts) == bits([OnnxEncoder(starter).encode(vectors[: edges[-1]])])
    requests = after.inference_stats.success.count - before.inference_stats.success.count
    assert requests == len(batches)
    assert after.execution_count - before.execution_count < requests


def test_one_bad_request_fails_alone(encoder: TritonEncoder, starter: Bundle, triton: Triton) -> None:
    good = random_vectors(3)
    expected = OnnxEncoder(starter).encode(good).code
    bad = random_vectors(4)
    bad[2, 5] = np.nan
    wrong = np.zeros((2, VECTOR_SIZE - 1), np.float32)

    def ask(kind: int) -> str:
        rows = (good, bad, wrong)[kind]
        try:
            answer = send(server, rows)
        except InferenceServerException as error:
            return error.message() or ""
        np.testing.assert_array_equal(answer.as_numpy("code").ravel(), expected)
        assert answer.as_numpy("latent").shape == (3, 96)
        return "answered"

    with client.InferenceServerClient(triton.address) as server, ThreadPoolExecutor(8) as threads:
        before = server.get_inference_statistics("encoder").model_stats[0].execution_count
        said = list(threads.map(ask, [0, 1, 0, 2, 0, 1] * 50))
        runs = server.get_inference_statistics("encoder").model_stats[0].execution_count - before
    assert all(answer == "answered" for answer in said[0::2])
    assert all("1 rows of vector hold NaN or inf, first rows [2]" in said[i] for i in range(1, 300, 6))
    assert all("columns, this version of the model reads" in said[i] for i in range(3, 300, 6))
    assert runs < 250  # good and bad did meet in a dynamic batch
    encoder.probe()


def test_no_rows_need_no_server(starter: Bundle) -> None:
    nobody = TritonEncoder(starter, "127.0.0.1:1")
    assert len(nobody.encode(np.empty((0, VECTOR_SIZE), np.float32)).code) == 0
    nobody.close()


def test_rows_that_are_not_finite_are_refused_before_they_are_sent(starter: Bundle) -> None:
    nobody = TritonEncoder(starter, "127.0.0.1:1")
    with pytest.raises(InvalidVectorError):
        nobody.encode(np.full((1, VECTOR_SIZE), np.inf, np.float32))
    nobody.close()


def test_a_server_with_another_bundle_is_refused_with_both_names(triton: Triton, tmp_path: Path) -> None:
    mine = make_bundle(tmp_path / "mine", codebook_version="mine.1")
    encoder = TritonEncoder(mine, triton.address)
    with pytest.raises(BundleError, match=r"serves the codebook '2026.*this worker's bundle is 'mine\.1'"):
        encoder.check_server()
    with pytest.raises(EncoderUnavailableError, match="is not found"):
        encoder.encode(random_vectors(2))
    encoder.close()


def test_a_model_that_is_not_there(starter: Bundle, triton: Triton) -> None:
    encoder = TritonEncoder(starter, triton.address, model_name="nobody")
    with pytest.raises(EncoderUnavailableError, match="nobody"):
        encoder.check_server()
    encoder.close()
