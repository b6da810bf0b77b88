"""`simpersona llm prepare`: events -> traces."""

from __future__ import annotations

import datetime
import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import click

from feature_store.contract.events import Event
from feature_store.history.archive import is_archive
from feature_store.sources.choice import SourceChoice
from inference.bundles.active import active_bundle
from inference.bundles.bundle import load_bundle
from ops.cli.files.source_options import source_options
from ops.cli.options import histories_argument, json_option
from ops.history.erased_buyers import void_before
from ops.history.progress_bars import progress_bars
from training.lifecycle.snapshot import snapshot_batches, take_archive, take_files


@click.command()
@histories_argument
@source_options
@click.option(
    "--model",
    "bundle",
    type=click.Path(path_type=Path),
    help="Bundle folder of the encoder; default: the settings', else the package's.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to make.")
@click.option(
    "--min-events",
    default=3,
    show_default=True,
    type=click.IntRange(min=1),
    help="Shorter sessions are left out.",
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    help="Same seed, same goals. It moves no buyer to another side.",
)
@click.option(
    "--rewrite-url",
    help="Chat endpoint (http://host:port/v1) that says each goal in other words; see docs/simulators.md.",
)
@click.option(
    "--no-erasures", is_flag=True, help="Do not ask Kafka who was erased: an archive's own purges have to do."
)
@json_option
def prepare(
    paths: tuple[Path, ...],
    source: SourceChoice,
    bundle: Path | None,
    out: Path,
    min_events: int,
    seed: int,
    rewrite_url: str | None,
    no_erasures: bool,
    as_json: bool,
) -> None:
    """Turn real sessions into traces that a persona LLM learns from.

    PATH is any file that `simpersona events check` accepts, or an archive folder. A trace is one session:
    store, persona tokens, goals, and the actions in their order. OUT holds traces.parquet, stores.json and
    manifest.json.
    """
    from training.persona_llm.agents.chat import Chat, ChatSettings
    from training.persona_llm.traces.prepare import prepare as make
    from training.persona_llm.traces.rewriting import chat_rewriter

    encoder = load_bundle(bundle or active_bundle())
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    snapshots = [
        take_archive(path, now) if is_archive(path) else take_files([path], now, source) for path in paths
    ]
    archived = any(is_archive(path) for path in paths)
    with ExitStack() as stack:
        chat = stack.enter_context(Chat(rewrite_url, ChatSettings())) if rewrite_url else None
        void = stack.enter_context(void_before(connected=archived and not no_erasures))
        bars = stack.enter_context(progress_bars())
        bar = bars.add_task("reading events", total=None)

        def counted() -> Iterator[list[Event]]:
            for snapshot in snapshots:
                for batch in snapshot_batches(snapshot, void):
                    yield batch
                    bars.advance(bar, len(batch))

        manifest = make(
            counted(),
            encoder,
            out,
            sources=[source for snapshot in snapshots for source in snapshot.sources()],
            command=shlex.join(["simpersona", *sys.argv[1:]]),
            min_events=min_events,
            seed=seed,
            rewriter=chat_rewriter(chat) if chat else None,
        )
    if as_json:
        click.echo(json.dumps(manifest))
        return
    for store, about in manifest["stores"].items():
        rates = "  ".join(f"{name} {share:.1%}" for name, share in about["base_rates"].items())
        click.echo(
            f"{store}: {sum(about['sessions'].values()):,} sessions of {about['buyers']:,} buyers  {rates}"
        )
    click.echo(f"codebook {manifest['codebook_version']}, written to {out}")
