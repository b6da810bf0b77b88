"""`simpersona calibrate`: do the stated probabilities come true? If not, fit them to each shop."""

from __future__ import annotations

import json
import time
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from inference.encoders.encoder import Encoder
from inference.encoders.settings import EncoderSettings, make_encoder
from ops.calibration.job import calibrate as look
from ops.calibration.metrics import CalibrationMetrics
from ops.cli.options import json_option
from ops.connection import connect, swapped_encoders


@click.command()
@click.option(
    "--every", type=click.FloatRange(min=1), help="Look again after so many seconds, until interrupted."
)
@click.option("--dry-run", is_flag=True, help="Report alone: publish nothing.")
@click.option(
    "--metrics-port", type=click.IntRange(0, 65535), help="Serve /metrics, with --every; 0: any free port."
)
@click.option("--metrics-host", default="127.0.0.1", show_default=True, help="Address of /metrics.")
@json_option
def calibrate(
    every: float | None, dry_run: bool, metrics_port: int | None, metrics_host: str, as_json: bool
) -> None:
    """Grade the forecasts of ended sessions, and publish a shop's calibration where it is due.

    A session ends 30 minutes of event time after its last event. From 500 ended sessions of a shop on its
    forecasts are judged on later sessions (AUC, calibration error). If they pass, they are stated as they
    come true there, from the published record on in each partition; a shop that the bundle has never seen
    gets no forecast before. Workers fit nothing.
    """
    if metrics_port is not None and every is None:
        raise click.UsageError("--metrics-port goes with --every")
    metrics = CalibrationMetrics()
    if metrics_port is not None:
        metrics.serve(metrics_host, metrics_port)
    with connect() as live:
        while True:
            first = make_encoder(EncoderSettings(), on_mode_change=lambda _mode: None)
            encoders = swapped_encoders(live.kafka, live.settings.control_topic, first)
            try:
                found = look(live, encoders[0], publish=not dry_run).to_dict()
            finally:
                _close(encoders)
            metrics.show(found)
            click.echo(json.dumps(found)) if as_json else Console().print(_table(found))
            if every is None:
                return
            time.sleep(every)


def _close(encoders: list[Encoder]) -> None:
    for encoder in encoders:
        encoder.close()


def _table(found: dict[str, Any]) -> Table:
    table = Table(title=f"forecasts of {found['codebook_version']} on ended sessions")
    for column in ("store", "sessions", "of", "error as it is", "error stated", "kappa", "gate", "evidence"):
        table.add_column(column)
    for store, shop in found["stores"].items():
        for kind in ("confidence", "forecast"):
            it = shop[kind]
            table.add_row(
                store,
                str(shop["sessions"]),
                kind,
                _error(it["raw"]),
                _error(it["stated"]),
                "" if it.get("kappa") is None else f"{it['kappa']:.2f}",
                "passed" if it["passed"] else str(it["why"]),
                f"{it['evidence']:.3g}" + (" ALARM" if it["alarm"] else ""),
            )
    return table


def _error(measured: dict[str, Any]) -> str:
    error = measured["error"]
    return "not stated" if error is None else f"{error[0]:.3f} [{error[1]:.3f}, {error[2]:.3f}]"
