"""Which addresses a receiver may have: each is checked, and the very one that was checked is connected to.

The URL is the operator's word; what its name resolves to and where an answer redirects to is not
(docs/adr/0040). Without a check, whoever holds the name could point it at a metadata service or a store.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from typing import Final, Literal

import httpx

from streams.errors import SinkError
from streams.sinks.background import in_background

Private = Literal["named", "refused", "allowed"]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_LOCAL_NAMES: Final = (".localhost", ".local", ".internal", ".home.arpa")
"""Names below these are in no public DNS (RFC 6761, 6762, 8375; ICANN keeps .internal for private use)."""
_LOCAL_NETWORKS: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "fc00::/7",
        "::1/128",
    )
)
"""Where receivers of one's own are. Metadata services are elsewhere: at link-local addresses."""


class AddressRefusedError(SinkError):
    """A receiver's name leads to addresses that the settings do not allow."""


def is_allowed(address: Address, *, named: bool) -> bool:
    """Whether a receiver may be there. named: its URL says that it is a private place."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_multicast:
        return False
    return address.is_global or (named and any(address in network for network in _LOCAL_NETWORKS))


def is_named(host: str) -> bool:
    """Whether a host says by itself that it is a private place: an address, or a name of no public DNS."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(_LOCAL_NAMES)
    return True


class CheckedTransport(httpx.AsyncBaseTransport):
    """Resolves a request's host, checks the addresses, and connects to one that was checked.

    The name is not resolved again in between, so it cannot lead elsewhere then. Certificates are those of
    the name.
    """

    def __init__(self, host: str, private: Private, timeout_s: float) -> None:
        """host: of the URL in the settings; only it may be a private place. timeout_s: of a request."""
        self._host, self._private, self._timeout_s = host, private, timeout_s
        self._inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send to the first allowed address that lets itself be connected to.

        Raises:
            AddressRefusedError: no address is allowed.
        """
        addresses = await self._addresses(request.url)
        share_s = self._timeout_s / len(addresses)
        for address in addresses[:-1]:
            try:
                return await self._inner.handle_async_request(_to(request, address, share_s))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._inner.handle_async_request(_to(request, addresses[-1], share_s))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()

    async def _addresses(self, url: httpx.URL) -> Sequence[Address]:
        host, port = url.raw_host.decode(), url.port or {"http": 80, "https": 443}[url.scheme]
        # Not by the loop's executor, whose threads are waited for at the end of a process.
        resolving = in_background(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        try:
            found = await asyncio.wrap_future(resolving)
        except (OSError, UnicodeError) as error:
            raise httpx.ConnectError(f"the name {host} does not resolve: {error}") from error
        addresses = list(dict.fromkeys(ipaddress.ip_address(place[0]) for *_, place in found))
        if self._private == "allowed":
            return addresses
        named = self._private == "named" and host == self._host and is_named(host)
        allowed = [address for address in addresses if is_allowed(address, named=named)]
        if not allowed:
            raise AddressRefusedError(
                f"the receiver {host} is at {', '.join(map(str, addresses))}, which is no public address: "
                "if that is right, set SIMPERSONA_WEBHOOK_PRIVATE_ADDRESSES=allowed"
            )
        return allowed


def _to(request: httpx.Request, address: Address, connect_s: float) -> httpx.Request:
    """The same request to an address; its Host and the name in TLS stay."""
    extensions = {"sni_hostname": request.url.raw_host.decode(), "timeout": {"connect": connect_s}}
    return httpx.Request(
        request.method,
        request.url.copy_with(host=str(address)),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, **extensions},
    )
