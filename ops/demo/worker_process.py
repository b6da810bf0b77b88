"""What the demo's worker process runs: `simpersona worker`, made ready while the servers still start.

    python -m ops.demo.worker_process

Importing Feast and Faust and loading (on a fresh machine: compiling) the fold take as long as Kafka's
own start, so they happen beside it. The stack's state file says that the servers answer, and where.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

_LOOK_EVERY_S: Final = 0.02


def main() -> None:
    """Get ready, wait for the stack on this installation's data folder, then work until SIGTERM."""
    from feature_store.logs import configure_logging
    from feature_store.settings import HomeSettings
    from ops.stack.local import load_stack

    configure_logging()
    home = HomeSettings().home
    _warm_up(home)
    while (stack := load_stack(home)) is None:
        time.sleep(_LOOK_EVERY_S)
    os.environ.update(stack.environment())

    from feature_store.log.config import KafkaSettings
    from inference.encoders.settings import EncoderSettings
    from streams.app import run_worker
    from streams.settings import WorkerSettings

    run_worker(WorkerSettings(), KafkaSettings(), EncoderSettings())


def _warm_up(home: Path) -> None:
    """Import what the worker needs, and load its compiled loops."""
    import streams.app  # noqa: F401
    from feature_store.online.feast.repo import open_feature_store
    from inference.counts.offline import warm_up
    from streams.settings import WorkerSettings

    settings = WorkerSettings()
    open_feature_store(settings.store_url, settings.topic, home)  # imports Feast, connects to nothing
    warm_up()


if __name__ == "__main__":
    main()
