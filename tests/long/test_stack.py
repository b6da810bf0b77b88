"""A stack on a data folder that another owner left."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from ops.stack.local import LocalStack

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


def test_an_owned_stack_resumes_the_data_of_the_last_owner(tmp_path: Path) -> None:
    for expected in (None, b"1"):
        with LocalStack(tmp_path / "home", partitions=2, owned=True) as stack:
            info = stack.up()
            with redis.Redis.from_url(info.redis_url) as client:
                assert client.get("seen") == expected
                client.set("seen", 1)
