"""One Kafka, one worker and one API for the tests that break none of them."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from ops.stack.kafka import Kafka
from tests.api_process import Api
from tests.rig import Rig


@pytest.fixture(scope="module")
def live(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    kafka.start()
    rig = Rig(kafka, tmp_path_factory.mktemp("api-rig"))
    rig.worker()
    yield rig
    rig.close()


@pytest.fixture(scope="module")
def api(live: Rig) -> Iterator[Api]:
    process = Api(live, heartbeat_s=0.5, max_body_bytes=65_536, max_unpacked_bytes=262_144)
    yield process
    assert process.stop() == 0, process.log.read_text()


@pytest.fixture(scope="module")
def acme(api: Api) -> Iterator[httpx.Client]:
    with api.client(api.new_key("acme")) as client:
        yield client


@pytest.fixture(scope="module")
def other(api: Api) -> Iterator[httpx.Client]:
    with api.client(api.new_key("other")) as client:
        yield client
