"""`simpersona llm train`: traces -> a persona LLM."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from ops.cli.llm.options import KINDS, SCHEDULES
from ops.cli.options import json_option
from training.errors import RegistryError
from training.persona_llm.model.config import Schedule
from training.persona_llm.traces.traces import Kind

if TYPE_CHECKING:
    from training.persona_llm.model.from_traces import TokenRows


@click.command()
@click.argument("traces", metavar="FOLDER", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Model folder to make.")
@click.option(
    "--base",
    default="small",
    show_default=True,
    help="small, smollm2, or the folder of a causal LM of Hugging Face.",
)
@click.option(
    "--schedule",
    type=SCHEDULES,
    default="one-stage-mixed",
    show_default=True,
    help="One stage on mixed or on explicit goals; two-stage, as in the paper: token rows "
    "on neutral goals, then all weights on explicit ones.",
)
@click.option(
    "--epochs",
    default=10,  # training.persona_llm.model.from_traces.EPOCHS
    show_default=True,
    type=click.IntRange(min=1),
    help="Passes over the traces, of all stages together.",
)
@click.option(
    "--kind",
    type=KINDS,
    default="after",
    show_default=True,
    help="What a token knows: what came before the session, its first three events, or all of the buyer.",
)
@click.option(
    "--token-rows",
    type=click.Choice(["codes", "random"]),
    default="codes",
    show_default=True,
    help="Where the rows of the tokens start: from the codes' vectors, or at random.",
)
@click.option(
    "--plans/--no-plans",
    default=True,
    show_default=True,
    help="Whether the model writes a plan before the first action, which agents then keep to.",
)
@click.option(
    "--lora-rank",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    help="Adapters of this rank in place of all weights.",
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    help="Same seed and traces, same weights.",
)
@json_option
def train(
    traces: Path,
    out: Path,
    base: str,
    schedule: Schedule,
    epochs: int,
    kind: Kind,
    token_rows: TokenRows,
    plans: bool,
    lora_rank: int,
    seed: int,
    as_json: bool,
) -> None:
    """Train a persona LLM on FOLDER, which `simpersona llm prepare` made.

    A run that was killed goes on where it was when the same command is given again. A GPU is used where
    there is one, in bf16. The run is tracked in the model registry.
    """
    from ops.llm.registry import open_llm_registry
    from training.persona_llm.model.folder import check_absent
    from training.persona_llm.model.from_traces import asked_config, make_llm

    check_absent(out)
    registry = open_llm_registry()  # before the time is spent: a registry that is away is said now
    config = asked_config(
        base=base,
        schedule=schedule,
        epochs=epochs,
        kind=kind,
        token_rows=token_rows,
        plans=plans,
        lora_rank=lora_rank,
        seed=seed,
    )
    manifest = make_llm(traces, config, out, command=shlex.join(["simpersona", *sys.argv[1:]]))
    try:
        registry.track(manifest)
    except RegistryError as error:
        raise RegistryError(f"the model is in {out}, but its run is not tracked: {error}") from error
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(manifest) | {"out": str(out)}))
        return
    click.echo(
        f"persona LLM {manifest.model_version} in {out}: {manifest.parameters:,} parameters, validation loss "
        f"{manifest.losses[0]:.3f} -> {min(manifest.losses):.3f} nats a written token, codebook "
        f"{manifest.codebook_version}, trained in {manifest.seconds:.0f} s on {manifest.device}"
    )
