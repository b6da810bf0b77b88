"""`simpersona llm export`: a persona LLM for other tools."""

from __future__ import annotations

import json
from pathlib import Path

import click

from feature_store.workspace import make_parent
from ops.cli.options import json_option


@click.command()
@click.argument("model", default="champion")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to make.")
@click.option(
    "--figures",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="evaluation-llm.json of `simpersona llm evaluate`, for the model card.",
)
@json_option
def export(model: str, out: Path, figures: Path | None, as_json: bool) -> None:
    """Write MODEL as a plain Hugging Face folder, which transformers and vLLM load without this package.

    MODEL is a folder that `simpersona llm train` made, or a version in the registry (default: the one in
    use).
    Weights as safetensors, the tokenizer with the persona tokens, generation settings and a model card.
    docs/simulators.md says how to use it.
    """
    from ops.llm.models import open_llm
    from training.persona_llm.model.export import export_llm, read_figures

    make_parent(out)
    read = None if figures is None else read_figures(figures)
    loaded = open_llm(model)
    files = export_llm(loaded, out, read)
    report = {
        "out": str(out),
        "files": files,
        "model_version": loaded.manifest.model_version,
        "codebook_version": loaded.manifest.codebook_version,
    }
    if as_json:
        click.echo(json.dumps(report))
        return
    click.echo(f"persona LLM {loaded.manifest.model_version} in {out}: {', '.join(files)}")
