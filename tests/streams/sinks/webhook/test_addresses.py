"""Where a receiver may be: names that lead to private places, names that move, redirects."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from streams.errors import SinkError
from streams.sinks.sink import Answer, Busy, Taken
from streams.sinks.webhook.addresses import AddressRefusedError, is_allowed, is_named
from streams.sinks.webhook.letters import Letter
from streams.sinks.webhook.post import Post, Private, Redirects
from tests.streams.sinks.webhook.receiver import TAKEN, Reply, receiving

LETTER = Letter({"Content-Type": "application/json"}, b'{"assignments": []}')


@pytest.mark.parametrize(
    ("address", "public", "named"),
    [
        ("93.184.215.14", True, True),
        ("2606:2800:21f:cb07::1", True, True),
        ("10.1.2.3", False, True),
        ("172.31.0.1", False, True),
        ("192.168.0.1", False, True),
        ("100.64.0.1", False, True),
        ("127.0.0.1", False, True),
        ("::1", False, True),
        ("fd00::1", False, True),
        ("::ffff:10.0.0.1", False, True),
        ("::ffff:169.254.169.254", False, False),
        ("169.254.169.254", False, False),
        ("fe80::1", False, False),
        ("0.0.0.0", False, False),
        ("::", False, False),
        ("224.0.0.1", False, False),
        ("ff0e::1", False, False),
        ("255.255.255.255", False, False),
    ],
)
def test_an_address_is_public_or_a_private_place_or_neither(address: str, public: bool, named: bool) -> None:
    found = ipaddress.ip_address(address)
    assert (is_allowed(found, named=False), is_allowed(found, named=True)) == (public, named)


def test_a_host_says_by_itself_that_it_is_private_or_not() -> None:
    private = ["10.0.0.5", "::1", "localhost", "receiver", "crm.shop.svc.cluster.local", "crm.corp.internal"]
    assert all(is_named(host) for host in private)
    assert not any(is_named(host) for host in ("shop.example", "local.example", "10.0.0.5.nip.example"))


class Names:
    """A resolver of a test: what a name leads to, question by question; the last answer stays."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.leads_to: dict[str, list[list[str]]] = {}
        self.asked: list[str] = []
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self.resolve)

    def resolve(self, host: str, port: int, *arguments: Any, **more: Any) -> Any:
        if host not in self.leads_to:
            return self._real(host, port, *arguments, **more)
        self.asked.append(host)
        answers = self.leads_to[host]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


def post(url: str, private: Private = "named", redirects: Redirects = "refused") -> Answer:
    with closing(Post(url, 30.0, private, redirects)) as sender:
        return sender.send(LETTER)


def at(url: str, host: str) -> str:
    return url.replace("127.0.0.1", host)


def test_a_public_name_that_leads_home_is_refused_unless_that_is_allowed(names: Names) -> None:
    names.leads_to["shop.example"] = [["127.0.0.1"]]
    with receiving() as (url, receiver):
        with pytest.raises(AddressRefusedError, match=r"shop\.example is at 127\.0\.0\.1.*PRIVATE_ADDRESSES"):
            post(at(url, "shop.example"))
        assert receiver.bodies == []
        assert post(at(url, "shop.example"), "allowed") == Taken()
        assert receiver.headers[0]["host"].startswith("shop.example:")


def test_a_url_that_names_a_private_place_is_obeyed_unless_that_is_refused(names: Names) -> None:
    names.leads_to["receiver"] = [["127.0.0.1"]]
    with receiving() as (url, _):
        assert post(url) == Taken()
        assert post(at(url, "receiver")) == Taken()
        for host in ("127.0.0.1", "receiver"):
            with pytest.raises(AddressRefusedError, match="no public address"):
                post(at(url, host), "refused")


def test_a_private_name_does_not_lead_to_a_metadata_service(names: Names) -> None:
    names.leads_to["metadata.internal"] = [["169.254.169.254"]]
    with pytest.raises(AddressRefusedError, match=r"169\.254\.169\.254"):
        post("http://metadata.internal/")


def test_the_address_that_was_checked_is_the_one_that_is_used(names: Names) -> None:
    """A name that moves between the check and the connection leads nowhere else: nobody asks twice."""
    names.leads_to["receiver"] = [["127.0.0.1"], ["169.254.169.254"]]
    with receiving() as (url, receiver):
        assert post(at(url, "receiver")) == Taken()
    assert names.asked == ["receiver"]
    assert len(receiver.bodies) == 1


def test_each_request_is_checked_anew(names: Names) -> None:
    names.leads_to["receiver"] = [["127.0.0.1"], ["169.254.169.254"]]
    with receiving() as (url, receiver), closing(Post(at(url, "receiver"), 30.0)) as sender:
        assert sender.send(LETTER) == Taken()
        with pytest.raises(AddressRefusedError):
            sender.send(LETTER)
    assert len(receiver.bodies) == 1


def test_an_address_where_nobody_listens_leads_to_the_next_one(names: Names) -> None:
    names.leads_to["receiver"] = [["169.254.169.254", "127.0.0.2", "127.0.0.1"]]
    with receiving() as (url, receiver):
        assert post(at(url, "receiver")) == Taken()
    assert len(receiver.bodies) == 1


def test_a_name_that_does_not_resolve_is_away() -> None:
    found = post("http://nobody.invalid/")
    assert isinstance(found, Busy)
    assert "nobody.invalid" in found.why


def test_certificates_are_those_of_the_name(
    names: Names, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subject = ["-subj", "/CN=receiver", "-addext", "subjectAltName=DNS:receiver", "-days", "2", "-nodes"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-keyout", key, "-out", certificate, *subject]
    subprocess.run(made, check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    names.leads_to |= {"receiver": [["127.0.0.1"]], "other": [["127.0.0.1"]]}
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with receiving(tls=tls) as (url, receiver):
        assert post(at(url, "receiver")) == Taken()
        wrong = post(at(url, "other"))
        assert isinstance(wrong, Busy)
        assert "other" in wrong.why
    assert len(receiver.bodies) == 1


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
def test_a_redirect_is_refused_and_its_host_alone_is_told(status: int) -> None:
    reply: Reply = (status, {"Location": "https://user:hush@shop.example/hush?hush"}, "")
    with receiving(lambda _body: reply) as (url, _), pytest.raises(SinkError, match=str(status)) as told:
        post(url)
    assert "hush" not in str(told.value)
    assert "shop.example" in str(told.value) or status in (300, 304)


def test_a_redirect_that_keeps_the_body_is_followed_where_that_is_set() -> None:
    with receiving() as (there, receiver):
        for status in (307, 308):
            with receiving(lambda _body, status=status: (status, {"Location": there}, "")) as (url, _):
                assert post(url, "allowed", "followed") == Taken()
    assert receiver.bodies == [{"assignments": []}] * 2


def test_a_redirect_that_drops_the_body_is_not() -> None:
    with (
        receiving() as (there, receiver),
        receiving(lambda _body: (302, {"Location": there}, "")) as (url, _),
        pytest.raises(SinkError, match="without the body"),
    ):
        post(url, "allowed", "followed")
    assert receiver.bodies == []


def test_a_redirect_does_not_lead_to_a_private_place() -> None:
    """The URL is the operator's word, where it redirects to is not."""
    with receiving() as (there, receiver):
        elsewhere = at(there, "localhost")
        reply: Reply = (307, {"Location": elsewhere}, "")
        with (
            receiving(lambda _body: reply) as (url, _),
            pytest.raises(AddressRefusedError, match="localhost"),
        ):
            post(url, "named", "followed")
    assert receiver.bodies == []


def test_redirects_in_a_circle_end() -> None:
    again: Reply = (307, {"Location": "/again"}, "")
    with receiving(lambda _body: again) as (url, receiver), pytest.raises(SinkError, match="more than 3"):
        post(url, "named", "followed")
    assert len(receiver.bodies) == 4
    with receiving(lambda _body: TAKEN) as (url, _):
        assert post(url, "named", "followed") == Taken()
