"""Names of stores and of codebooks: safe as a part of a path, of a key and of a URL."""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec

NAME_PATTERN: Final = r"^\.*[A-Za-z0-9_-][A-Za-z0-9._-]*\Z"
"""At least one character is no dot: `.` and `..` are folders to a file system, and steps to a URL."""
NAME_CHARS: Final = 64
NAME_RULE: Final = "1 to 64 of A-Z a-z 0-9 . _ -, and not only dots"

Name = Annotated[str, msgspec.Meta(pattern=NAME_PATTERN, max_length=NAME_CHARS)]

_matches: Final = re.compile(NAME_PATTERN).match


def is_name(text: str) -> bool:
    """Whether a store or a codebook may be called so."""
    return len(text) <= NAME_CHARS and _matches(text) is not None
