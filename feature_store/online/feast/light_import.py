"""Imports Feast without what it does to a process besides: import this module before anything of `feast`.

Three things are left out:

- typeguard compiling checks into Feast's own functions, most of its six seconds. We check our calls with
  mypy, and without the decorator the functions are the same.
- torch, where it is installed, for a feature that serving does not use: 600 MB.
- its switch of the whole process's prometheus_client to files in a folder (feast.metrics, for the forked
  workers of its own server). Our workers and API keep their metrics in memory.
"""

from __future__ import annotations

import os
import sys
from typing import Any

# Chooses, as it is imported, where values are kept; so it must come before Feast sets the variables.
import prometheus_client  # noqa: F401
import typeguard

_PROMETHEUS_FOLDERS = ("PROMETHEUS_MULTIPROC_DIR", "PROMETHEUS_MULTIPROCESS_DIR")


def _unchecked(target: Any = None, **_options: Any) -> Any:
    return (lambda function: function) if target is None else target


def _import_feast() -> None:
    if "feast" in sys.modules:
        return
    typeguard.typechecked = _unchecked
    hidden = sys.modules.get("torch")
    sys.modules["torch"] = None  # type: ignore[assignment]
    folders = {name: os.environ.get(name) for name in _PROMETHEUS_FOLDERS}
    try:
        import feast  # noqa: F401
    finally:
        del sys.modules["torch"]
        if hidden is not None:
            sys.modules["torch"] = hidden
        for name, folder in folders.items():
            if folder is None:
                os.environ.pop(name, None)


_import_feast()
