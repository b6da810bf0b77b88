"""Addresses of an online store: one server, a cluster, or a master that Sentinels know."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import urlsplit

from redis.connection import parse_url

from feature_store.errors import SettingError

Kind = Literal["node", "cluster", "sentinel"]
FORMS: Final = (
    "redis://host:6379/0 or rediss:// (one server), unix:///path, redis+cluster://host:6379,host2:6379 "
    "or rediss+cluster:// (a cluster), redis+sentinel://host:26379,host2:26379/name or rediss+sentinel://"
)
_SEVERAL: Final[dict[str, Kind]] = {"cluster": "cluster", "sentinel": "sentinel"}
_PORT: Final[dict[Kind, int]] = {"cluster": 6379, "sentinel": 26379}


class StoreAddress(NamedTuple):
    """Where a store is: hosts (name, port) of a cluster's nodes or of Sentinels, the master's name there,
    and options of a redis-py client (user, password, TLS); a plain server has its `url` alone."""

    kind: Kind
    url: str
    hosts: tuple[tuple[str, int], ...] = ()
    service: str = ""
    options: Mapping[str, Any] = MappingProxyType({})

    @classmethod
    def parse(cls, url: str) -> StoreAddress:
        """Take an address apart. The user, password and query of a cluster's or Sentinel's address are those
        of redis-py's URLs, and hold for every server.

        Raises:
            SettingError: it is none.
        """
        parts = urlsplit(url)
        if parts.scheme in ("redis", "rediss", "unix"):
            return cls("node", url)
        scheme, _, several = parts.scheme.partition("+")
        kind = _SEVERAL.get(several)
        if scheme not in ("redis", "rediss") or kind is None:
            raise _wrong(f"{parts.scheme or url!r} is no address of an online store")
        user, at, hosts = parts.netloc.rpartition("@")
        pairs = tuple(_host(name, _PORT[kind]) for name in hosts.split(",") if name)
        path = [part for part in parts.path.split("/") if part]
        if not pairs or (kind == "sentinel") != bool(path) or len(path) > (2 if kind == "sentinel" else 0):
            raise _wrong(f"this address of a {kind} is not complete")
        database = path[1] if len(path) > 1 else "0"
        query = f"?{parts.query}" if parts.query else ""
        plain = f"{scheme}://{user}{at}{pairs[0][0]}/{database}{query}"
        options = dict(parse_url(plain))  # type: ignore[no-untyped-call]
        for name in ("host", "port", "connection_class", *(["db"] if kind == "cluster" else [])):
            options.pop(name, None)
        if scheme == "rediss":
            options["ssl"] = True
        return cls(kind, url, pairs, path[0] if path else "", options)


def _host(text: str, port: int) -> tuple[str, int]:
    name, colon, number = text.rpartition(":")
    if colon and not number.isdigit():
        raise _wrong(f"{number!r} is no port")
    return (name, int(number)) if colon else (text, port)


def _wrong(what: str) -> SettingError:
    return SettingError(f"SIMPERSONA_STORE_URL: {what}: write {FORMS}")
