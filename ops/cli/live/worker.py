"""`simpersona worker`: run one worker of the live path."""

from __future__ import annotations

import click

from feature_store.log.config import KafkaSettings
from inference.encoders.settings import EncoderSettings
from streams.app import run_worker
from streams.settings import WorkerSettings


@click.command()
def worker() -> None:
    """Tag shoppers: fold the clickstream, encode, say personas, checkpoint.

    Settings come from the environment (docs/settings.md). SIGTERM finishes the checkpoint and leaves
    the group.
    """
    run_worker(WorkerSettings(), KafkaSettings(), EncoderSettings())
