"""`pytest --rounding N`: the numeric tests on a processor that rounds otherwise, one for each N.

Vector units of other widths sum in another order, so the last bits of a matrix product differ from machine
to machine, and a training carries them into all of its weights. No second processor is at hand in CI; this
changes each product by some 1e-6 of itself, by a rule of the value alone: a machine agrees with itself.
"""

from __future__ import annotations

import pytest

ERROR = 1e-6
"""Relative. float32 sums of a few hundred terms differ by this much between vector units."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rounding", type=int, default=0, metavar="N", help="round as another processor: 1, 2 ..."
    )


def pytest_configure(config: pytest.Config) -> None:
    if number := config.getoption("--rounding"):
        import torch

        linear = torch.nn.functional.linear

        def rounded(*inputs: torch.Tensor, **named: torch.Tensor) -> torch.Tensor:
            product = linear(*inputs, **named)
            if torch.compiler.is_compiling():
                return product  # an exported graph is the model's own
            return product * (1 + ERROR * (1e5 * product.detach() + number / 7).frac())

        torch.nn.functional.linear = rounded
