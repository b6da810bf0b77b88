"""Addresses of an online store."""

from __future__ import annotations

import pytest

from feature_store.errors import SettingError
from feature_store.online.servers.address import StoreAddress
from feature_store.online.servers.nodes import open_nodes


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:6379/0", "rediss://u:p@store/1", "unix:///run/valkey.sock"]
)
def test_one_server_is_its_url(url: str) -> None:
    assert StoreAddress.parse(url) == StoreAddress("node", url)


def test_a_cluster_names_nodes_user_password_and_tls() -> None:
    address = StoreAddress.parse("rediss+cluster://me:s%40fe@a:7000,b/?ssl_ca_certs=/ca.pem")
    assert address.kind == "cluster"
    assert address.hosts == (("a", 7000), ("b", 6379))
    assert address.options == {"username": "me", "password": "s@fe", "ssl": True, "ssl_ca_certs": "/ca.pem"}


def test_sentinels_name_a_master_and_a_database() -> None:
    address = StoreAddress.parse("redis+sentinel://:pw@a,b:26380/main/2")
    assert (address.kind, address.service) == ("sentinel", "main")
    assert address.hosts == (("a", 26379), ("b", 26380))
    assert address.options == {"password": "pw", "db": 2}


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://store", "'http' is no address of an online store"),
        ("store:6379", "'store' is no address of an online store"),
        ("", "'' is no address of an online store"),
        ("redis+ring://a", r"'redis\+ring' is no address"),
        ("redis+cluster://", "this address of a cluster is not complete"),
        ("redis+cluster://a/0", "this address of a cluster is not complete"),
        ("redis+sentinel://a:26379", "this address of a sentinel is not complete"),
        ("redis+cluster://a:six", "'six' is no port"),
    ],
)
def test_anything_else_is_refused_before_a_server_is_asked(url: str, why: str) -> None:
    with pytest.raises(SettingError, match=rf"SIMPERSONA_STORE_URL: {why}.*: write redis://host:6379/0"):
        open_nodes(url)
