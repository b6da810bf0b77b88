"""Partitions that change hands for real: librdkafka's rebalances with events in flight.

A driver that lost events passed every crash test and failed churn, so churn runs with events in flight
all the time. Other kinds of membership: tests/long/test_ownership.py.
"""

from __future__ import annotations

import pytest

from tests.faults.churn import churn
from tests.rig import Rig

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


def test_churn_of_three_workers_loses_nothing(rig: Rig) -> None:
    churn(rig, "dynamic", 3_000)
