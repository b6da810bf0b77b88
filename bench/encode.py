"""`make bench-encode`: buyers per second of batch encode on one core, against the matrix products alone.

    .venv/bin/python -m bench.encode [--buyers N] [--repeats N]

The limit is what the matrix products of the bundle's own graph take at the same batch size, with the faster
of numpy and ONNX Runtime: no encoder of these shapes can be faster on this machine. Beside it, each step of
`simpersona encode` on generated traffic. CPU time of the process counts, on one thread, so other work on the
machine changes little; medians over the repeats.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import click
import msgspec
import numpy as np
import onnx
import onnxruntime as ort

from bench.document import machine, put, table
from feature_store.history.offline_fold import warm_up
from feature_store.history.shards import Folded, Shard, fold_shards, shard_events
from feature_store.sources.writer import write_events
from inference.bundles.bundle import load_bundle, starter_bundle_path
from inference.encoders.graph import MAX_ROWS
from inference.encoders.onnx import OnnxEncoder
from ops.history.encode import encode_buyers, write_codes
from ops.history.files import history_batches
from ops.traffic import TrafficConfig, generate

ROOT: Final = Path(__file__).parents[1]
RESULTS: Final = ROOT / "bench" / "results" / "encode.json"
DOCUMENT: Final = ROOT / "docs" / "benchmarks.md"
BEGIN: Final = "<!-- encode: made by `make bench-encode` -->"
END: Final = "<!-- encode: end -->"
HEADER: Final = ("step", "us of CPU per buyer", "buyers/s per core", "of the limit")


class Step(msgspec.Struct, frozen=True):
    """What one step takes: CPU seconds of each repeat, for all buyers."""

    name: str
    seconds: list[float]


class Product(NamedTuple):
    """A matrix product of the graph: rows [batch, inner] times weights [inner, outer]."""

    inner: int
    outer: int


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run. The first step is the limit; gflops is the rate of its products."""

    date: str
    command: str
    machine: dict[str, str]
    seed: int
    buyers: int
    events: int
    products: list[Product]
    gflops: float
    steps: list[Step]


def products_of(model: bytes) -> list[Product]:
    """The matrix products that a graph does per row, in order."""
    graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(model)).graph
    known = [*graph.value_info, *graph.input, *graph.output]
    shapes = {value.name: value.type.tensor_type.shape.dim for value in known}
    width = {name: shape[-1].dim_value for name, shape in shapes.items() if len(shape)}
    nodes = [node for node in graph.node if node.op_type in ("Gemm", "MatMul")]
    return [Product(width[node.input[0]], width[node.output[0]]) for node in nodes]


def cpu_seconds(work: Callable[[], object], repeats: int) -> list[float]:
    """CPU seconds of each repeat, after one that warms up."""
    work()
    seconds = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return seconds


def limit(products: Iterable[Product], rows: int, repeats: int) -> list[float]:
    """CPU seconds of the products of `rows` rows, MAX_ROWS at a time, by whichever library is faster."""
    batches = -(-rows // MAX_ROWS)
    totals = np.zeros(repeats)
    for product in products:
        x = np.random.default_rng(0).random((MAX_ROWS, product.inner), dtype=np.float32)
        weights = np.random.default_rng(1).random((product.inner, product.outer), dtype=np.float32)
        session = _product_session(weights)
        by_numpy = partial(np.matmul, x, weights, out=np.empty((MAX_ROWS, product.outer), np.float32))
        by_onnx = partial(session.run, None, {"x": x})
        ways = [sorted(cpu_seconds(_times(batches, way), repeats)) for way in (by_numpy, by_onnx)]
        totals += np.min(ways, axis=0)
    return [float(total) * rows / (batches * MAX_ROWS) for total in totals]


def _times(count: int, work: Callable[[], object]) -> Callable[[], object]:
    return lambda: [work() for _ in range(count)]


def _product_session(weights: np.ndarray) -> ort.InferenceSession:
    kind = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [onnx.helper.make_tensor_value_info("x", kind, ["n", weights.shape[0]])],
        [onnx.helper.make_tensor_value_info("y", kind, ["n", weights.shape[1]])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def measure(buyers: int, repeats: int, seed: int) -> Result:
    """Time the limit and every step."""
    warm_up()
    bundle = load_bundle(starter_bundle_path())
    encoder = OnnxEncoder(bundle)
    with tempfile.TemporaryDirectory(prefix="simpersona-encode-") as name:
        folder = Path(name)
        events, out = folder / "events.parquet", folder / "codes.parquet"
        count = write_events(events, generate(TrafficConfig(buyers=buyers), seed))

        def sharded() -> list[Shard]:
            return list(shard_events(history_batches(events), folder / "shards"))

        shards = sharded()

        def folded() -> Iterable[Folded]:
            return fold_shards(shards)

        vectors = np.concatenate([group.vectors() for group in folded()])
        products = products_of(bundle.model)
        work: dict[str, Callable[[], object]] = {
            "the encoder, on vectors in memory": lambda: encoder.encode(vectors),
            "fold and vectors": lambda: [group.vectors() for group in folded()],
            "fold, vectors, encoder, parquet of codes": lambda: write_codes(
                out, (encode_buyers(group, encoder) for group in folded())
            ),
            "reading events (parquet) into shards": sharded,
        }
        steps = [Step("the matrix products alone: the limit", limit(products, buyers, repeats))]
        steps += [Step(name, cpu_seconds(do, repeats)) for name, do in work.items()]
    flops = 2.0 * buyers * sum(inner * outer for inner, outer in products)
    return Result(
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        command="make bench-encode",
        machine=machine(),
        seed=seed,
        buyers=buyers,
        events=count,
        products=products,
        gflops=flops / statistics.median(steps[0].seconds) / 1e9,
        steps=steps,
    )


def markdown(result: Result) -> str:
    """The table and where it was measured."""
    best = statistics.median(result.steps[0].seconds)
    rows = []
    for step in result.steps:
        seconds = statistics.median(step.seconds)
        each = 1e6 * seconds / result.buyers
        rows.append((step.name, f"{each:.2f}", f"{result.buyers / seconds:,.0f}", f"{best / seconds:.0%}"))
    shapes = ", ".join(f"{inner}x{outer}" for inner, outer in result.products)
    rate = f"Products {shapes}: {result.gflops:.0f} GFLOP/s."
    repeats = f"median of {len(result.steps[0].seconds)}; seed {result.seed}"
    return (
        f"{table(HEADER, rows)}\n\n`{result.command}`, {result.date}; {result.buyers:,} buyers, "
        f"{result.events:,} events; {repeats}. {rate} {', '.join(result.machine.values())}."
    )


@click.command()
@click.option("--buyers", default=20_000, show_default=True, help="Buyers of generated traffic.")
@click.option("--repeats", default=5, show_default=True, help="Runs of each step; medians are reported.")
@click.option("--seed", default=7, show_default=True, help="Seed of the generated traffic.")
def main(buyers: int, repeats: int, seed: int) -> None:
    """Measure, print the table, and write it to docs/benchmarks.md and bench/results/encode.json."""
    result = measure(buyers, repeats, seed)
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    put(DOCUMENT, BEGIN, END, markdown(result))
    click.echo(markdown(result))


if __name__ == "__main__":
    main()
