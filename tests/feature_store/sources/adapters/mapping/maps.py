"""Mappings and records that the tests of the mapping language share."""

from __future__ import annotations

from typing import Any

from feature_store.contract.events import Event
from feature_store.sources.adapters.common import Adapted
from feature_store.sources.adapters.mapping.loading import parse_mapping
from tests.feature_store.sources.adapters.payloads import HASHER, TIME_MS

BASE = """
format = 1
buyer = "who"
time = "at"
time_unit = "ms"
"""
SEEN = BASE + '[[events]]\ntype = "product_view"\nwhere = {}\n'


def adapted(text: str, record: Any) -> Adapted:
    return parse_mapping(text.encode()).adapt(record, store="shop", hasher=HASHER)


def event(text: str, **record: Any) -> Event:
    """The one event of a record that has buyer and time."""
    found = adapted(text, {"who": "b-1", "at": TIME_MS, **record})
    assert found.skipped == {}
    (only,) = found.events
    return only


def skipped(text: str, **record: Any) -> dict[str, int]:
    return dict(adapted(text, {"who": "b-1", "at": TIME_MS, **record}).skipped)
