"""What the API says when it cannot start."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from feature_store.errors import IdentityKeyError
from inference.api.installation import History, Installation
from inference.api.server import run_api
from inference.api.settings import ApiSettings
from inference.bundles.active import active_bundle
from inference.errors import ApiStartError, BundleError
from ops.cli.live.api import api


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def nothing(*_asked: object) -> dict[str, Any]:
    """An answer from a log that nobody asks."""
    return {}


def installation(home: Path, bundle: Path) -> Installation:
    """One whose servers are all away: the API starts without them."""
    return Installation(
        kafka={"bootstrap.servers": "127.0.0.1:1"},
        store_url="redis://127.0.0.1:1/0",
        topic="clickstream",
        assignments_topic="persona-assignments",
        erasures_topic="simpersona-erasures",
        control_topic="simpersona-control",
        keys_topic="simpersona-keys",
        home=home,
        bundle=bundle,
        remains=lambda _at: [],
        swapped_to=lambda _raw: None,
        history=History(as_of=nothing, why=nothing, report=nothing),
    )


@pytest.fixture
def id_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMPERSONA_ID_KEY", "ab" * 32)


def test_without_a_key_of_buyer_ids_it_says_so_before_it_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMPERSONA_HOME", str(tmp_path))
    monkeypatch.delenv("SIMPERSONA_ID_KEY", raising=False)
    monkeypatch.setenv("SIMPERSONA_API_PROCESSES", "1")
    with pytest.raises(IdentityKeyError, match="set SIMPERSONA_ID_KEY"):
        CliRunner().invoke(api, [], catch_exceptions=False)


@pytest.mark.usefixtures("id_key")
def test_a_bundle_that_must_not_be_served_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no-bundle"):
        run_api(installation(tmp_path, tmp_path / "no-bundle"), ApiSettings(port=0))


@pytest.mark.usefixtures("id_key")
def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ApiStartError, match=f"cannot listen on 127.0.0.1:{port}"):
            run_api(installation(tmp_path, active_bundle()), ApiSettings(port=port))


@pytest.mark.usefixtures("id_key")
def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    settings = ApiSettings(port=0, tls_certificate=certificate, tls_key=key)
    with pytest.raises(
        ApiStartError, match=r"cannot serve TLS with .*cert\.pem and .*key\.pem: .*No such file"
    ):
        run_api(installation(tmp_path, active_bundle()), settings)
    for file in (certificate, key):
        file.write_text("no PEM")
    with pytest.raises(ApiStartError, match=r"cannot serve TLS with .*cert\.pem"):
        run_api(installation(tmp_path, active_bundle()), settings)
