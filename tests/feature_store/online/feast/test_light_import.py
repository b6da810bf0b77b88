"""What Feast does to a process that imports it, and must not."""

from __future__ import annotations

import subprocess
import sys

import pytest

OPENED = """
import os, sys, warnings
warnings.simplefilter("error")
import {first}
left = sorted(name for name in os.environ if name.startswith("PROMETHEUS_MULTIPROC"))
from prometheus_client import Gauge, values
gauge = Gauge("any", "any", ["label"])
gauge.labels("one").set(1)
gauge.clear()
print(left, values.ValueClass.__name__, "torch" in sys.modules)
"""


@pytest.mark.parametrize(
    "first",
    [
        "feature_store.online.feast.light_import",
        "feature_store.online.feast.store",
        "feature_store.online.feast.views",
    ],
)
def test_metrics_stay_in_memory_and_torch_away(first: str) -> None:
    code = OPENED.format(first=first)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["[]", "MutexValue", "False"]


def test_a_folder_that_somebody_chose_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    code = "import os, feature_store.online.feast.light_import\nprint(os.environ['PROMETHEUS_MULTIPROC_DIR'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(tmp_path)
