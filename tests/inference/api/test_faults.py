"""The API while a server that it needs is away, and while it ends itself."""

from __future__ import annotations

import threading
from pathlib import Path

import httpx
import pytest

from feature_store.log.reader import LogReader
from ops.stack.kafka import Kafka
from tests.api_process import Api, event
from tests.rig import PARTITIONS, Rig

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]


def stored(rig: Rig) -> list[str]:
    """Keys of the records on the clickstream topic."""
    with LogReader(rig.client_config()) as log:
        return [
            message.key().decode()
            for number in range(PARTITIONS)
            for batch in log.read(rig.settings.topic, number)
            for message in batch
        ]


def test_without_kafka_nothing_is_accepted_and_with_it_again_everything(rig: Rig, kafka: Kafka) -> None:
    api = Api(rig, ack_timeout_s=2, stalled_s=0.5)
    with api.client(api.new_key("acme")) as client:
        assert client.post("/v1/events", json=event("before")).status_code == 202
        kafka.kill()
        away = client.post("/v1/events", json=event("meanwhile"))
        assert away.status_code == 503
        assert int(away.headers["retry-after"]) >= 1
        assert away.json()["type"] == "urn:simpersona:unavailable"
        kafka.start()
        rig.wait_for(
            lambda: client.post("/v1/events", json=event("meanwhile")).status_code == 202, "Kafka's return"
        )
        accepted = [f"b{number}" for number in range(50)]
        for buyer in accepted:
            rig.wait_for(
                lambda buyer=buyer: client.post("/v1/events", json=event(buyer, buyer)).status_code == 202,
                "an event to be accepted",
            )
    assert api.stop() == 0
    assert len(set(stored(rig))) == 51


def test_more_events_than_may_wait_are_answered_429(rig: Rig) -> None:
    api = Api(rig, queue_events=100)
    with api.client(api.new_key("acme")) as client:
        refused = client.post("/v1/events", json=[event(number) for number in range(101)])
        assert (refused.status_code, refused.json()["type"]) == (429, "urn:simpersona:queue-full")
        assert refused.headers["retry-after"] == "1"
        assert client.post("/v1/events", json=[event(number) for number in range(100)]).status_code == 202
    assert api.stop() == 0


def test_without_the_store_the_api_says_so_and_comes_back(rig: Rig) -> None:
    api = Api(rig)
    key = api.new_key("acme")
    with api.client(key) as client:
        rig.valkey.kill()
        assert client.get("/v1/personas").status_code == 503
        # The store is asked once for all who ask within a quarter of a second.
        rig.wait_for(lambda: client.get("/readyz").status_code == 503, "the API not to be ready")
        assert client.get("/readyz").json()["type"] == "urn:simpersona:not-ready"
        assert client.get("/healthz").status_code == 200
        rig.valkey.start()
        rig.wait_for(lambda: client.get("/v1/personas").status_code == 200, "the store's return")
    assert api.stop() == 0


def test_sigterm_ends_streams_with_a_word(rig: Rig, tmp_path: Path) -> None:
    api = Api(rig)
    ends: list[str] = []
    opened = threading.Event()

    def follow() -> None:
        with (
            api.client(api.new_key("acme")) as client,
            client.stream("GET", "/v1/stores/acme/stream") as told,
        ):
            for line in told.iter_lines():
                opened.set()
                ends.append(line)

    reader = threading.Thread(target=follow)
    reader.start()
    assert opened.wait(60)
    assert api.stop() == 0
    reader.join(60)
    assert "event: closing" in ends


def test_a_certificate_makes_it_https(rig: Rig, tmp_path: Path) -> None:
    import ssl
    import subprocess

    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2", "-nodes"]
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
        *subject,
    ]
    subprocess.run(made, cwd=tmp_path, check=True, capture_output=True)
    trusted = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    api = Api(rig, tls=trusted, tls_certificate=tmp_path / "cert.pem", tls_key=tmp_path / "key.pem")
    assert api.url.startswith("https://")
    with httpx.Client(base_url=api.url, verify=trusted) as client:
        assert client.get("/healthz").json() == {"status": "ok"}
    assert api.stop() == 0
