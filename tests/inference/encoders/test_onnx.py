from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.fold.vector import FEATURE_WIDTHS, VECTOR_SIZE
from inference.bundles.bundle import Bundle, load_bundle, starter_bundle_path
from inference.encoders.encoder import Encoding
from inference.encoders.graph import MAX_ROWS
from inference.encoders.onnx import OnnxEncoder
from inference.errors import EncoderUnavailableError, InvalidVectorError
from tests.inference.made_bundles import make_bundle, random_vectors

pytestmark = pytest.mark.numeric

STARTER = OnnxEncoder(load_bundle(starter_bundle_path()))
ROWS = random_vectors(512)
AT_ONCE = STARTER.encode(ROWS)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "bundle")


def same_bits(one: Encoding, other: Encoding) -> bool:
    return all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


def test_codes_are_the_nearest_of_the_codebook(bundle: Bundle) -> None:
    vectors = random_vectors(200)
    random = np.random.default_rng(0)  # the two draws of model_bytes(seed=0)
    codebook = random.standard_normal((256, 96)).astype(np.float32)
    weight = (random.standard_normal((FEATURE_WIDTHS[1], 96)) / 20).astype(np.float32)
    distances = np.linalg.norm((vectors[:, : len(weight)] @ weight)[:, None, :] - codebook, axis=2)
    nearest = np.sort(distances, axis=1)
    encoding = OnnxEncoder(bundle).encode(vectors)
    clear = nearest[:, 1] - nearest[:, 0] > 1e-4 * nearest[:, 0]  # the others are ties: rounding decides
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(encoding.code[clear], distances.argmin(axis=1)[clear])
    np.testing.assert_allclose(encoding.distance, nearest[:, 0], rtol=1e-5)
    np.testing.assert_allclose(encoding.margin, nearest[:, 1] - nearest[:, 0], atol=1e-4)
    np.testing.assert_array_equal(encoding.type, encoding.code % 2)


def test_no_rows_give_no_codes() -> None:
    encoding = STARTER.encode(np.empty((0, VECTOR_SIZE), np.float32))
    assert [(column.dtype, column.shape) for column in encoding] == [
        (column.dtype, (0,)) for column in AT_ONCE
    ]


@given(st.lists(st.integers(0, len(ROWS)), max_size=12))
def test_any_split_into_batches_gives_the_same_bits(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(ROWS)]
    parts = [STARTER.encode(ROWS[a:b]) for a, b in itertools.pairwise(edges)]
    assert same_bits(Encoding(*map(np.concatenate, zip(*parts, strict=True))), AT_ONCE)


@pytest.mark.parametrize("rows", [1, 2, MAX_ROWS - 1, MAX_ROWS, MAX_ROWS + 1, 2 * MAX_ROWS + 3])
def test_batches_beyond_one_run_are_cut(bundle: Bundle, rows: int) -> None:
    encoder = OnnxEncoder(bundle)
    vectors = random_vectors(rows)
    whole = encoder.encode(vectors)
    halves = [encoder.encode(part) for part in np.array_split(vectors, 2)]
    assert len(whole.code) == rows
    assert same_bits(Encoding(*map(np.concatenate, zip(*halves, strict=True))), whole)


def test_more_threads_give_the_same_answers_and_distances_to_the_last_bit_but_one() -> None:
    """Two threads add up a row in parts, so a distance may end in another bit."""
    encoder = OnnxEncoder(load_bundle(starter_bundle_path()), threads=2)
    found = encoder.encode(ROWS)
    assert np.allclose(found.distance, AT_ONCE.distance, rtol=1e-6, atol=0)
    assert np.allclose(found.margin, AT_ONCE.margin, rtol=1e-4, atol=1e-6)
    assert same_bits(found._replace(distance=AT_ONCE.distance, margin=AT_ONCE.margin), AT_ONCE)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_are_refused_and_named(bad: float) -> None:
    vectors = random_vectors(5)
    vectors[3, 402] = bad
    with pytest.raises(InvalidVectorError, match=r"1 rows hold NaN or inf, first rows \[3\]"):
        STARTER.encode(vectors)


@pytest.mark.parametrize(
    "vectors",
    [np.zeros((2, 402), np.float32), np.zeros(403, np.float32), np.zeros((2, 403), np.float64)],
)
def test_other_shapes_and_types_are_refused(vectors: np.ndarray) -> None:
    with pytest.raises(InvalidVectorError, match="expected float32"):
        STARTER.encode(vectors)


def test_the_probe_notices_another_graph(tmp_path: Path, bundle: Bundle) -> None:
    encoder = OnnxEncoder(bundle)
    encoder.probe()
    other = OnnxEncoder(make_bundle(tmp_path / "other", seed=1))
    encoder._session = other._session
    with pytest.raises(EncoderUnavailableError, match="gives the probe vectors the codes"):
        encoder.probe()
