"""The `simpersona` command: one file per noun, loaded when it is called, errors turned into one line."""

from __future__ import annotations

import sys
from typing import Final

import click

from feature_store.errors import SimpersonaError
from ops.cli.lazy import Entry, LazyGroup
from ops.cli.telling import tell
from ops.interrupts import Interrupted, interrupts

COMMANDS: Final[dict[str, Entry]] = {
    "api": Entry("ops.cli.live.api:api", "Serve the persona API over HTTP."),
    "archive": Entry("ops.cli.live.archive:archive", "Keep the clickstream as parquet files."),
    "as-of": Entry("ops.cli.buyers.as_of:as_of", "Show what was assigned of a buyer at a moment."),
    "backfill": Entry(
        "ops.cli.files.backfill:backfill", "Load history into the store, before a first start."
    ),
    "calibrate": Entry(
        "ops.cli.live.calibrate:calibrate", "Grade forecasts by how sessions ended; fit them to each shop."
    ),
    "demo": Entry("ops.cli.live.demo:demo", "Tag live shoppers on real servers, and prove it."),
    "drift": Entry("ops.cli.live.drift:drift", "Compare live traffic with what the encoder was trained on."),
    "encode": Entry("ops.cli.files.encode:encode", "Write the code and token of each buyer in a history."),
    "erase": Entry("ops.cli.buyers.erase:erase", "Erase a buyer, everywhere and from every later replay."),
    "evaluate": Entry("ops.cli.encoder.evaluate:evaluate", "Judge a bundle's codes on files of events."),
    "events": Entry("ops.cli.files.events:events", "Check, convert, generate and replay files of events."),
    "fold": Entry("ops.cli.files.fold:fold", "Write the features of each buyer in a history."),
    "ids": Entry("ops.cli.live.ids:ids", "Rotate the key of buyers' pseudonyms."),
    "keys": Entry("ops.cli.live.keys:keys", "Make, list and revoke keys of the persona API."),
    "llm": Entry("ops.cli.llm.group:llm", "Train and run shopping agents that act as real shoppers do."),
    "models": Entry(
        "ops.cli.encoder.models:models", "List, try, promote and roll back versions of the encoder."
    ),
    "personas": Entry("ops.cli.encoder.personas:personas", "Show the catalogue of types and codes."),
    "plan": Entry("ops.cli.live.plan:plan", "Reckon how much of each part a load needs."),
    "retrain": Entry("ops.cli.encoder.retrain:retrain", "Train a successor, judge it, and put it live."),
    "sample": Entry("ops.cli.encoder.sample:sample", "Draw persona tokens from a store's mix of buyers."),
    "sink": Entry("ops.cli.live.sink:sink", "Deliver assignments to another system."),
    "stack": Entry("ops.cli.live.stack:stack", "Start, stop and inspect the local servers."),
    "study": Entry(
        "ops.cli.encoder.studies:encoder", "Judge the method on files of events, beside baselines."
    ),
    "train": Entry("ops.cli.encoder.train:train", "Train an encoder and publish it as a bundle."),
    "verify": Entry("ops.cli.live.verify:verify", "Compare store and assignments with an offline fold."),
    "webhook": Entry("ops.cli.live.sink:webhook", "Post assignments to a URL, or to Segment."),
    "why": Entry("ops.cli.buyers.why:why_command", "Explain a buyer's persona by their events."),
    "worker": Entry("ops.cli.live.worker:worker", "Run one worker of the live path."),
}


@click.group(cls=LazyGroup, entries=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="simpersona")
def simpersona() -> None:
    """Know, live, what kind of buyer is on a storefront."""
    from feature_store.logs import configure_logging
    from feature_store.settings import HomeSettings
    from ops.stack.local import use_local_stack

    configure_logging()
    use_local_stack(HomeSettings().home)  # after `simpersona stack up` every command finds it


def main() -> None:
    """Run the command; exit 0 on success, 2 on bad usage, 1 on failure with one line on stderr.

    A signal ends it with 128 + its number; a command that serves until then ends well on SIGINT and SIGTERM.
    """
    try:
        with interrupts():
            simpersona(prog_name="simpersona")
    except SimpersonaError as error:
        tell(f"simpersona: {error}")
        sys.exit(1)
    except Interrupted as interrupted:
        tell(f"simpersona: ended by {interrupted.number.name}")
        raise


if __name__ == "__main__":
    main()
