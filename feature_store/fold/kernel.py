"""How this package compiles its loops: with numba, cached on disk, without the GIL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, cast

import numba

Number: TypeAlias = Any
"""An integer inside compiled code, int64 or uint64: types there are numba's."""

F = TypeVar("F", bound=Callable[..., object])


def kernel(function: F) -> F:
    """Compile with numba in nopython mode; with the cache, later starts take milliseconds."""
    return cast(F, numba.njit(cache=True, nogil=True)(function))
