"""A persona LLM -> a plain Hugging Face folder, which other tools load without this package."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from transformers import GenerationConfig

from feature_store.workspace import make_parent, publish, workspace
from training.errors import ExportError
from training.persona_llm.model.base import SMALL, SMOLLM2, action_line
from training.persona_llm.model.folder import PersonaLlm, check_absent
from training.persona_llm.model.plans import AIMED, WITHIN, plan_line
from training.persona_llm.model.prompts import prompt_text
from training.persona_llm.storefront.actions import ACTIONS, ADD, LEAVE, PURCHASE
from training.persona_llm.storefront.storefront import STEP_LIMIT
from training.persona_llm.traces.prepare import STORES

CARD: Final = "README.md"
LICENSE: Final = "Apache-2.0"
"""Of this package, and of SmolLM2's weights; a base of the user's own brings its own."""

Figure = Mapping[str, float]


def export_llm(model: PersonaLlm, out: Path, figures: Mapping[str, Any] | None) -> list[str]:
    """Write weights (safetensors), tokenizer with the tokens, generation settings and a model card.

    figures: of an evaluation (docs/evaluation-llm.json's form), for the card. Returns the names of the files.

    Raises:
        ExportError: `out` is there already.
        OutputError: the disk is full, or `out` cannot be written.
    """
    check_absent(out)
    make_parent(out)
    with workspace(out) as work:
        made = work / "model"
        made.mkdir()
        for name in model.manifest.files:
            if name != STORES:
                (made / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(model.folder / name, made / name)
        generation_config(model).save_pretrained(made)
        (made / CARD).write_text(model_card(model, figures))
        names = sorted(str(path.relative_to(made)) for path in made.rglob("*") if path.is_file())
        publish(made, out)
    return names


def read_figures(path: Path) -> dict[str, Any]:
    """The figures of an evaluation.

    Raises:
        ExportError: the file cannot be read, or is no JSON object.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError) as error:
        raise ExportError(
            f"{path} holds no figures ({error}); make it by `simpersona llm evaluate`"
        ) from error


def generation_config(model: PersonaLlm) -> GenerationConfig:
    """Sample as the agents do, and end where the shopper leaves, where leaving is a single token."""
    tokenizer: Any = model.base.tokenizer
    lines = {
        action: tokenizer(action_line(action), add_special_tokens=False)["input_ids"] for action in ACTIONS
    }
    leave = lines[LEAVE]
    return GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_k=0,
        max_new_tokens=STEP_LIMIT * max(map(len, lines.values())) + _PLAN_TOKENS,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=[tokenizer.eos_token_id, *(leave if len(leave) == 1 else [])],
    )


def model_card(model: PersonaLlm, figures: Mapping[str, Any] | None) -> str:
    """README.md of the folder: what it is, data, figures, limits, codebook version, licence."""
    about, config = model.manifest, model.config
    base = {SMALL: "a small Llama built in code", SMOLLM2: "SmolLM2-135M-Instruct"}.get(
        config.base, config.base
    )
    licence = LICENSE if config.base in (SMALL, SMOLLM2) else "other"
    stages = "; ".join(
        f"{stage.epochs} epochs on {stage.goals} goals, {_MOVED[stage.trainable]}" for stage in config.stages
    )
    return _CARD.format(
        licence=licence.lower(),
        version=about.model_version,
        base=base,
        parameters=f"{about.parameters:,}",
        codebook=about.codebook_version,
        encoder=about.encoder_sha256,
        prompt=prompt_text("SHOP", "Visit the shop.", 17),
        actions=", ".join(f"`{action}`" for action in ACTIONS),
        leave=action_line(LEAVE).rstrip(),
        pattern=answer_pattern(plans=config.plans),
        goes_on=_PLANS if config.plans else "The model goes on with",
        kind=config.kind,
        known=_KNOWN[config.kind],
        stages=stages,
        seed=config.seed,
        stores=", ".join(sorted(model.stores)),
        traces=f"{about.traces:,}",
        sources="\n".join(f"- {source}" for source in about.sources),
        traces_sha256=about.traces_sha256,
        loss=f"{min(about.losses):.3f}",
        device=about.device,
        figures=_figures(figures),
        command=about.command,
    )


def answer_pattern(*, plans: bool) -> str:
    """A regular expression that every answer of a model fulfils, newlines written as \\n."""
    plan = f"({'|'.join(AIMED)})({'|'.join(line.rstrip() for line in WITHIN)})\\n" if plans else ""
    return f"{plan}(({'|'.join(ACTIONS)})\\n)+"


def _figures(figures: Mapping[str, Any] | None) -> str:
    if figures is None:
        return "No evaluation was given to the export; `simpersona llm evaluate` makes one."
    rows = []
    for setting in ("in_store", "held_out"):
        for name, figure in _estimates(figures.get(setting, {}), ()):
            value, low, high = (figure[part] for part in ("value", "low", "high"))
            rows.append(f"| {setting.replace('_', ' ')}: {name} | {value:.3f} | {low:.3f} to {high:.3f} |")
    if not rows:
        raise ExportError("the evaluation holds no figures in_store or held_out; give evaluation-llm.json")
    command = figures.get("command", "simpersona llm evaluate")
    made = f"`{command}`, on {figures.get('device', 'a device not told')}"
    introduction = f"Of models that the evaluation trained itself, not of this one: {made}.\n"
    return "\n".join([introduction, "| figure | value | 95 % interval |", "|---|---|---|", *rows])


def _estimates(figures: Mapping[str, Any], path: Sequence[str]) -> list[tuple[str, Figure]]:
    """Every estimate in nested figures, with the names that lead to it."""
    if {"value", "low", "high"} <= figures.keys():
        return [(" ".join(path), figures)] if None not in figures.values() else []
    return [
        found
        for name, inner in figures.items()
        if isinstance(inner, Mapping)
        for found in _estimates(inner, (*path, name.replace("_", " ")))
    ]


_PLAN_TOKENS: Final = 32
"""More than any plan line takes, also where it is spelled."""
_PLAN: Final = plan_line([ADD, PURCHASE, LEAVE]).rstrip()
_PLANS: Final = f"""The model goes on with a plan, such as `{_PLAN}`, and then
with"""
_MOVED: Final = {"tokens": "token rows only", "all": "all weights"}
_KNOWN: Final = {
    "before": "what was known of a buyer before the session",
    "early": "the first three events of the session",
    "after": "everything the buyer did, the session itself included",
}
_CARD: Final = """---
license: {licence}
library_name: transformers
pipeline_tag: text-generation
tags: [simpersona, shopping-agent, clickstream]
---

# Persona LLM {version}

Writes what a shopper does in an online shop, one action a line. One token in front of the prompt,
`<|persona_0|>` to `<|persona_255|>`, says what kind of shopper it is. Base: {base} ({parameters} parameters).

**Tokens are of the codebook `{codebook}`** (encoder SHA-256 `{encoder}`). A token of another codebook
version is another shopper under the same name: map it first, or do not use it.

## Prompt

```
{prompt}```

The prompt ends in a newline. {goes_on} one action a line until `{leave}`. Actions: {actions}.
Hold decoding to this regular expression, and stop at `{leave}`. Add no other special tokens.

```
{pattern}
```

## Data

{traces} sessions of the stores {stores}; traces SHA-256 `{traces_sha256}`. Half of the buyers train, a tenth
choose the epoch, the others are kept for the test.

{sources}

## Training

{stages}; seed {seed}. A token was made from {known} (kind `{kind}`). Lowest validation loss: {loss} nats an
written token. Device: {device}. Command: `{command}`.

## Figures

{figures}

## Limits

- A token made from everything a buyer did knows how the session ends. Figures of the kind `after` say how
  well a token is expressed; they are no forecast.
- The model knows pages and actions, not the products of a shop that it was not trained on.
- It has learned the shops above. In another shop it is worse: see the figures held out, where there are any.
- It was made to simulate shoppers. It is no assistant, and what it writes is no fact about a real person.

## Licence

{licence}
"""
