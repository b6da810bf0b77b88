"""Inputs of the persona LLM's evaluation: sessions from files, stores to hold out, the command itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from feature_store.sources.choice import NOTHING_SAID, SourceChoice
from studies.inputs import Histories
from studies.persona_llm.judged_sessions import Material
from studies.persona_llm.part_names import PARTS
from studies.persona_llm.plan import Plan

_SEED: Final = 0
"""Of the split by buyer and of the goals."""
_LEAST_IN_FUNNEL: Final = 50
"""A store with fewer sessions that put something into a cart, or went further, says little of strata."""


def material_of(
    paths: Sequence[Path], most: int | None, source: SourceChoice = NOTHING_SAID
) -> tuple[Material, list[str]]:
    """The sessions of the files, and one line per file.

    Raises:
        EventSourceError: a file cannot be read.
        DatasetError: no session has 3 events or more.
    """
    histories = Histories(paths, source)
    material = Material.of(histories.events(), seed=_SEED, most=most)
    return material, histories.described()


def stores_to_hold_out(material: Material) -> tuple[str, ...]:
    """Stores in whose funnel enough sessions got somewhere, in the order of their names."""
    entered = [trace.store for trace in material.traces if trace.outcome != "D"]
    return tuple(store for store in material.stores if entered.count(store) >= _LEAST_IN_FUNNEL)


def command_line(paths: Sequence[Path], plan: Plan, most: int | None) -> str:
    """How the report names the command that made it: files by name, wherever they lie."""
    options = [f"--base {Path(plan.base).name}"]
    options += [f"--seeds {len(plan.seeds)}", f"--few-seeds {len(plan.few_seeds)}", f"--epochs {plan.epochs}"]
    options += [f"--held-out-epochs {plan.held_out_epochs}"]
    if plan.sampling != Plan().sampling:
        options += [f"--sampling {temperature:g} {guidance:g}" for temperature, guidance in plan.sampling]
    options += [f"--held-out {store}" for store in plan.held_out]
    options += [f"--part {part.replace('_', '-')}" for part in plan.parts if plan.parts != PARTS]
    options += [f"--most {most}"] if most else []
    return " ".join(["simpersona llm evaluate", *(path.name for path in paths), *options])
