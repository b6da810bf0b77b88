"""Erased buyers: a compacted topic that every reader of buyers honours, so that no replay brings one back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from feature_store.contract.erasure import Erasure, Erasures
from feature_store.log.whole_topic import WholeTopic


class ErasureLog(Erasures):
    """The topic of erasures, read from the beginning and then onwards at each `refresh`."""

    def __init__(self, config: Mapping[str, Any], topic: str) -> None:
        super().__init__()
        self._topic = WholeTopic(config, topic)

    def refresh(self) -> dict[bytes, Erasure]:
        """Read up to the present end of the topic; returns the erasures that void more than was known.

        Raises:
            TopicError: the topic is missing or cannot be read.
        """
        news: dict[bytes, Erasure] = {}
        for messages in self._topic.to_end():
            news |= self.take(messages)
        return news

    def close(self) -> None:
        """Close the reader."""
        self._topic.close()
