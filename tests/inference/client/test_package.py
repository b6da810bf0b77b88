"""What the client's package offers, and what it needs."""

from __future__ import annotations

import re
import subprocess
import sys

import inference.client
from inference.client import errors

HEAVY = ("fastapi", "confluent_kafka", "feast", "faust", "onnxruntime", "torch", "numba", "redis")


def test_every_error_is_offered_and_of_one_tree() -> None:
    made = {
        name for name, thing in vars(errors).items() if getattr(thing, "__module__", "") == errors.__name__
    }
    kinds = {name for name in made if name.endswith("Error")}
    assert kinds <= set(inference.client.__all__)
    drawn = set(re.findall(r"\w+Error", errors.__doc__ or ""))
    assert drawn == kinds


def test_every_name_that_is_offered_is_there() -> None:
    for name in inference.client.__all__:
        assert hasattr(inference.client, name)


def test_a_shop_needs_no_server_packages_for_it() -> None:
    code = f"import sys, inference.client\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
