"""A worker that kills itself at a named point, the n-th time it comes by: `python -m ... POINT[:N]`.

The points are the gaps between the steps of a batch and of a checkpoint; SIGKILL leaves no chance to
clean up, as a real crash would.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from feature_store.log.producer import Output
from feature_store.online.rows import OnlineRows
from inference.encoders.onnx import OnnxEncoder

POINTS = {
    "before-fold": (OnlineRows, "read_states", "after"),
    "before-encode": (OnnxEncoder, "encode", "before"),
    "before-say": (OnnxEncoder, "encode", "after"),
    "before-personas": (OnlineRows, "write_personas", "before"),
    "before-ack": (Output, "flush", "before"),
    "before-transaction": (OnlineRows, "checkpoint", "before"),
    "after-transaction": (OnlineRows, "checkpoint", "after"),
}


def crash_at(point: str, turn: int) -> None:
    """Replace a step by itself and a SIGKILL."""
    owner, name, when = POINTS[point]
    step: Callable[..., Any] = getattr(owner, name)
    turns = iter(range(1, turn + 1))

    def crashing(*args: Any, **kwargs: Any) -> Any:
        now = next(turns, turn) == turn
        if now and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = step(*args, **kwargs)
        if now:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, crashing)


if __name__ == "__main__":
    where, _, at = sys.argv[1].partition(":")
    crash_at(where, int(at or 1))
    sys.argv = ["simpersona", "worker"]
    from ops.cli.main import main

    main()
