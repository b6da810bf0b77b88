"""`simpersona encode`: history -> codes."""

from __future__ import annotations

import json
from pathlib import Path

import click

from feature_store.history.shards import fold_shards, shard_events
from feature_store.sources.choice import SourceChoice
from feature_store.workspace import publish, workspace
from inference.bundles.active import active_bundle
from inference.bundles.bundle import load_bundle
from inference.encoders.onnx import OnnxEncoder
from ops.cli.files.events_path import EVENTS_PATH
from ops.cli.files.source_options import source_options
from ops.cli.options import json_option
from ops.history.encode import encode_buyers, write_codes
from ops.history.progress_bars import progress_bars, read_with_bar


@click.command()
@click.argument("path", type=EVENTS_PATH)
@source_options
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="Bundle folder; default: the one that answers.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Parquet to write."
)
@click.option("--prefix", type=click.IntRange(min=1), help="Only each buyer's first N events.")
@json_option
def encode(
    path: Path, source: SourceChoice, model: Path | None, out: Path, prefix: int | None, as_json: bool
) -> None:
    """Encode the buyers of files that `simpersona events check` accepts, or of an archive folder.

    One row per buyer, with the columns store, buyer, code, token, codebook_version, type, confidence,
    forecast, forecast_probability, distance and margin. type is what holds at the end of the file; the
    forecast is for the end of that session, and is empty for stores that the bundle's forecasts were not
    learned on. A history larger than memory is split on disk, in a folder beside the output file; its rows
    then come in no particular order.
    """
    encoder = OnnxEncoder(load_bundle(model or active_bundle()))
    with workspace(out) as work, progress_bars() as bars:
        shards = shard_events(read_with_bar(path, bars, source), work / "shards")
        each = bars.track(shards, description="encoding buyers")
        groups = fold_shards(each, prefix=prefix)
        tables = (encode_buyers(group, encoder) for group in groups)
        buyers, codes_used = write_codes(work / "codes.parquet", tables)
        publish(work / "codes.parquet", out)
    report = {
        "buyers": buyers,
        "codes_used": codes_used,
        "codebook_version": encoder.codebook_version,
        "out": str(out),
    }
    if as_json:
        click.echo(json.dumps(report))
    else:
        click.echo(f"{buyers:,} buyers, {codes_used} codes used, written to {out}")
