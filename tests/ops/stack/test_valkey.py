from __future__ import annotations

from pathlib import Path

import pytest
import redis

from ops.stack.valkey import Valkey

pytestmark = pytest.mark.integration


def test_a_killed_store_resumes_with_its_rows(tmp_path: Path) -> None:
    server = Valkey(tmp_path / "valkey", owned=True)
    server.start()
    url = server.address
    with redis.Redis.from_url(url) as client:
        client.mset({f"key-{n}": n for n in range(1_000)})
    server.kill()
    server.start()
    assert server.address == url
    with redis.Redis.from_url(url) as client:
        assert client.dbsize() == 1_000
        assert client.get("key-999") == b"999"
        assert client.config_get("appendonly")["appendonly"] == "yes"
        assert client.config_get("appendfsync")["appendfsync"] == "everysec"
    server.stop()
