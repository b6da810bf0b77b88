"""What to say of shops that the bundle has never seen."""

from __future__ import annotations

from collections.abc import Iterable, Set


def unseen(stores: Iterable[str], seen: Set[str]) -> list[str]:
    """Those of the stores that the bundle's forecasts were not learned on, sorted."""
    return sorted(set(stores) - seen)


def what_it_costs(unseen_stores: list[str]) -> str:
    """A sentence for a person; empty where every store was seen."""
    if not unseen_stores:
        return ""
    named = ", ".join(unseen_stores[:5]) + (", ..." if len(unseen_stores) > 5 else "")
    return (
        f"this bundle has never seen {named}: codes and types are told, no forecast and no confidence; "
        "`simpersona retrain` learns them from the shop's own history"
    )
