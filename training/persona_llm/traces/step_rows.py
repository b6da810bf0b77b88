"""Steps as rows of a parquet column, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from training.persona_llm.storefront.actions import Item, Step

_NO_ITEM: Final = Item(None, None, None, None)


def step_rows(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """One flat row per step: action, query, dwell_ms, the item's fields, has_item."""
    return [
        {"action": step.action, "query": step.query, "dwell_ms": step.dwell_ms}
        | (step.item or _NO_ITEM)._asdict()
        | {"has_item": step.item is not None}
        for step in steps
    ]


def steps_from(rows: Iterable[Mapping[str, Any]]) -> list[Step]:
    """What step_rows was given."""
    return [
        Step(
            row["action"],
            Item(*(row[name] for name in Item._fields)) if row["has_item"] else None,
            row["query"],
            row["dwell_ms"],
        )
        for row in rows
    ]
