"""The benchmark of batch encode: the limit is made of the bundle's own products, the table of the run."""

from __future__ import annotations

from bench.encode import HEADER, Product, limit, markdown, measure, products_of
from inference.bundles.bundle import load_bundle, starter_bundle_path
from inference.encoders.graph import CODES, LATENT_SIZE
from training.encoder.scaling import INPUTS


def test_the_products_are_those_of_the_graph() -> None:
    products = products_of(load_bundle(starter_bundle_path()).model)
    assert {(INPUTS, 256), (256, 128), (128, LATENT_SIZE), (LATENT_SIZE, CODES)} <= set(products)


def test_more_products_take_longer() -> None:
    small, large = (min(limit([Product(64, n)], 20_000, 3)) for n in (16, 1024))
    assert 0 < small < large


def test_a_run_ends_in_a_table() -> None:
    result = measure(buyers=200, repeats=2, seed=1)
    assert result.buyers == 200
    assert result.events > 200
    assert all(len(step.seconds) == 2 for step in result.steps)
    lines = markdown(result).splitlines()
    assert lines[0] == f"| {' | '.join(HEADER)} |"
    assert lines[2].endswith("| 100% |")
    assert len(lines) == 2 + len(result.steps) + 2
