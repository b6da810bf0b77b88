"""Numbers as people write them: 8370000, 8.37M, 250k."""

from __future__ import annotations

import re
from typing import Any, Final

import click

_NUMBER: Final = re.compile(r"([0-9]+(?:[.][0-9]+)?|[0-9]{1,3}(?:,[0-9]{3})+)([kMG]?)")
_TIMES: Final = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}


class Quantity(click.ParamType):
    """A number of at least `least`, with k, M or G after it."""

    name = "number"

    def __init__(self, least: float) -> None:
        self._least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number itself; fails with what was wrong and how to write it."""
        found = _NUMBER.fullmatch(str(value))
        if found is None:
            self.fail(f"{value!r} is no number: write 8370000, 8.37M or 250k", param, ctx)
        number = float(found[1].replace(",", "")) * _TIMES[found[2]]
        if not self._least <= number <= 1e12:
            self.fail(f"{value} is out of range: from {self._least:g} to 1,000G", param, ctx)
        return number


def spoken(number: float) -> str:
    """A number for a reader: three digits, with k, M or G."""
    for suffix, times in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= 10 * times or (times > 1e3 and number >= times):
            return f"{number / times:.3g}{suffix}"
    return f"{number:,.0f}" if number >= 10 else f"{number:.3g}"
