"""`simpersona drift`: does live traffic still look like what the encoder was trained on?"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console

from feature_store.online.intake import IntakeCounts
from inference.bundles.active import active_bundle
from inference.bundles.bundle import load_bundle
from inference.bundles.reference import load_reference
from inference.counts.windows import WindowReader, WindowSettings
from ops.connection import Connection, connect
from ops.drift.exporter import DriftMetrics, serve
from ops.drift.look import Look, Watcher
from ops.drift.report import tables, to_dict
from ops.drift.settings import DriftSettings
from ops.drift.windows import SlidingWindows
from streams.commands import read_standing


@click.command()
@click.option("--store", help="Report on this store alone; every store is looked at.")
@click.option("--bundle", type=click.Path(path_type=Path), help="Bundle to compare with; else the workers'.")
@click.option("--watch", is_flag=True, help="Look again and again, until interrupted.")
@click.option(
    "--every", default=30.0, show_default=True, type=click.FloatRange(min=1), help="Seconds between looks."
)
@click.option(
    "--metrics-port", type=click.IntRange(0, 65535), help="Serve /metrics, with --watch; 0: any free port."
)
@click.option("--metrics-host", default="127.0.0.1", show_default=True, help="Address of /metrics.")
@click.option("--json", "as_json", is_flag=True, help="Report as JSON on stdout, one line a look.")
def drift(
    store: str | None,
    bundle: Path | None,
    watch: bool,
    every: float,
    metrics_port: int | None,
    metrics_host: str,
    as_json: bool,
) -> None:
    """Compare live traffic with the bundle's reference, raise alerts, ask for a retrain if one lasts.

    Windows that passed since the last call are looked at first, so a timer will do as well as --watch.
    Alerts are kept in $SIMPERSONA_HOME/drift.json, a request in $SIMPERSONA_HOME/retrain-request.json.
    """
    if metrics_port is not None and not watch:
        raise click.UsageError("--metrics-port goes with --watch")
    metrics = DriftMetrics()
    with _watcher(bundle) as (watcher, length_ms):
        if metrics_port is not None:
            serve(metrics, metrics_host, metrics_port)
        while True:
            shown = watcher.catch_up()
            _print(watcher, shown, length_ms, store, as_json)
            if not watch:
                return
            if shown is not None:
                metrics.show(shown, watcher.book, length_ms, watcher.request_path.exists())
            time.sleep(every)


@contextmanager
def _watcher(bundle: Path | None) -> Iterator[tuple[Watcher, int]]:
    windows, settings = WindowSettings(), DriftSettings()
    with connect() as live:
        folder = bundle or _served(live)
        version, reference = load_bundle(folder).codebook_version, load_reference(folder)
        intake = IntakeCounts(live.settings.store_url, live.settings.topic, windows.length_ms)
        try:
            sliding = SlidingWindows(WindowReader(live.rows, windows), intake, windows.length_ms, version)
            yield Watcher(sliding, reference, settings, live.home, version), windows.length_ms
        finally:
            intake.close()


def _served(live: Connection) -> Path:
    """The bundle that the workers answer with: the last swap's, else this installation's."""
    swaps = read_standing(live.kafka, live.settings.control_topic).swaps
    return Path(swaps[0]) if swaps else active_bundle()


def _print(watcher: Watcher, shown: object, length_ms: int, store: str | None, as_json: bool) -> None:
    found = shown if isinstance(shown, Look) else None
    if as_json:
        click.echo(json.dumps(to_dict(found, watcher.book, length_ms, store)))
    elif found is None:
        click.echo("no window of event time is complete yet; let the workers run for some minutes")
    else:
        for table in tables(found, watcher.book, length_ms, store):
            Console().print(table)
