"""Which user agents are bots."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import crawleruseragents

_MAX_LENGTH: Final = 512
"""A crawler names itself early; what comes later only costs the patterns time."""


def is_bot(user_agent: str | None) -> bool:
    """Whether the list of crawler-user-agents (monperrus/crawler-user-agents) knows this user agent.

    No user agent is no evidence: vendors' servers send none.
    """
    return bool(user_agent) and _is_crawler(str(user_agent)[:_MAX_LENGTH])


@lru_cache(maxsize=16_384)  # a look-up costs 0.3 ms, and a shop meets the same few thousand agents all day
def _is_crawler(user_agent: str) -> bool:
    return bool(crawleruseragents.is_crawler(user_agent))
