"""httpcore's pools of connections: directly, through HTTP proxies, through SOCKS proxies."""

from __future__ import annotations

import ssl

import httpcore
import httpx

from clawtop.engine.providers.connections import LoopBackend
from clawtop.engine.providers.network import tls_context
from clawtop.store.provider.network_config import Network

KEEPALIVE_SECONDS = 2.0
"""Short: a server that closes an idle connection just as it is reused looks like a broken provider."""
MOST_IDLE = 64

BrokenConnection = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
)
"""What httpcore raises for a failed connection or an invalid answer."""


def pool_for(network: Network) -> httpcore.AsyncConnectionPool:
    """A pool of connections of this kind.

    Raises ValueError when its certificates, or the address of its proxy, cannot be used.
    """
    proxy = None if network.proxy is None else _proxy(network.proxy)
    over_tls = proxy is not None and proxy.url.scheme == "https"
    layers = (network.proxy_tls, network.tls) if over_tls else (network.tls,)
    return _Pool(
        ssl_context=tls_context(network.tls),
        proxy=None if proxy is None else _core_proxy(proxy, tls_context(network.proxy_tls) if over_tls else None),
        max_connections=None,
        max_keepalive_connections=MOST_IDLE,
        keepalive_expiry=KEEPALIVE_SECONDS,
        network_backend=LoopBackend(tuple(layer.server_name for layer in layers)),
    )


def proxy_name(url: str) -> str:
    """Host and port of a proxy, for messages: without its scheme and password. Raises as `pool_for` does."""
    return _proxy(url).url.netloc.decode("ascii")


def _proxy(url: str) -> httpx.Proxy:
    """Node's client, which OpenClaw calls providers with, takes `socks://` for `socks5://`."""
    return httpx.Proxy(url.replace("socks://", "socks5://", 1) if url.startswith("socks://") else url)


def _core_proxy(proxy: httpx.Proxy, context: ssl.SSLContext | None) -> httpcore.Proxy:
    return httpcore.Proxy(core_url(proxy.url), auth=proxy.raw_auth, headers=proxy.headers.raw, ssl_context=context)


def core_url(url: httpx.URL) -> httpcore.URL:
    """An address, checked and encoded by httpx, for httpcore. Raises ValueError for an invalid port."""
    if url.port is not None and not 0 < url.port < 65536:
        raise ValueError(f"port {url.port} is not between 1 and 65535")
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


class _Pool(httpcore.AsyncConnectionPool):
    def create_connection(self, origin: httpcore.Origin) -> httpcore.AsyncConnectionInterface:
        return _Connection(super().create_connection(origin))


class _Connection(httpcore.AsyncConnectionInterface):
    """A connection of a pool that is idle or closed after a request of it has failed.

    httpcore keeps one open for ever whose request is cancelled between the connection and the request, or again while
    the first cancellation is cleaned up: to its pool, that is a connection in use.
    """

    def __init__(self, inner: httpcore.AsyncConnectionInterface) -> None:
        self._inner = inner
        self._given_up = False

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        try:
            return await self._inner.handle_async_request(request)
        except httpcore.ConnectionNotAvailable:
            raise  # another request has it
        except BaseException:
            if not self._inner.is_idle():
                self._given_up = True
                await self._inner.aclose()
            raise

    async def aclose(self) -> None:
        await self._inner.aclose()

    def info(self) -> str:
        return self._inner.info()

    def can_handle_request(self, origin: httpcore.Origin) -> bool:
        return self._inner.can_handle_request(origin)

    def is_available(self) -> bool:
        return not self._given_up and self._inner.is_available()

    def has_expired(self) -> bool:
        return self._inner.has_expired()

    def is_idle(self) -> bool:
        return not self._given_up and self._inner.is_idle()

    def is_closed(self) -> bool:
        return self._given_up or self._inner.is_closed()
