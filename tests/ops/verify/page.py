"""docs/verify.md: what verify compares, each field of its report, and what it says to each kind of damage.

`make verify-page` writes it. The table of damage is that of tests/ops/verify/mutations.py, each line of which
test_mutations.py tries on a real store.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Final

from ops.verify.report import VerifyReport
from tests.ops.verify.damage import Mutation
from tests.ops.verify.mutations import BEYOND_REPAIR, NOT_PROVABLE, mutations

PAGE: Final = Path(__file__).resolve().parents[3] / "docs" / "verify.md"
_HEAD: Final = Path(__file__).with_name("page.md")


def page() -> str:
    """The page as Markdown."""
    lines = ["<!-- Made by `make verify-page`; change tests/ops/verify/page.md or the code instead. -->\n\n"]
    lines.append(_HEAD.read_text())
    lines.append("\n## The report\n\n| field | makes it unequal | meaning |\n|---|---|---|\n")
    for one in fields(VerifyReport):
        unequal = "yes" if one.metadata["is_difference"] else ""
        lines.append(f"| `{one.name}` | {unequal} | {one.metadata['meaning']} |\n")
    lines.append("\n## What it says to each kind of damage\n\n| damage | named | repair |\n|---|---|---|\n")
    lines += [_line(mutation) for mutation in mutations()]
    return "".join(lines)


def _line(mutation: Mutation) -> str:
    if mutation.name in NOT_PROVABLE:
        return f"| {mutation.name} | - | {NOT_PROVABLE[mutation.name]} |\n"
    repair = BEYOND_REPAIR.get(mutation.name, "yes")
    repair = repair if repair == "yes" else f"no: {repair}"
    return f"| {mutation.name} | `{mutation.named}` | {repair} |\n"


if __name__ == "__main__":
    PAGE.write_text(page())
    print(PAGE)
