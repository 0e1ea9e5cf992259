"""The bytes of a connection to a provider, for httpcore, over the event loop's own transports.

httpcore's own streams for asyncio go through anyio, which lets the loop turn at each of their steps: for a reply in
pieces that costs as much as decoding it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import select
import ssl
from collections.abc import Iterable
from typing import Any, cast

import httpcore

MOST_RECEIVED = 256 * 1024
"""With this many bytes unread, reading from the socket pauses."""
NEXT_ADDRESS_S = 0.25
"""How long one address of a host is tried alone (RFC 8305)."""


class LoopBackend(httpcore.AsyncNetworkBackend):
    """Makes connections of the running event loop. Has no time limits: `limits.CallLimits` bounds every wait.

    `server_names`: for each TLS layer of a connection, the outermost first, the name that its certificate must have if
    that is not the host's.
    """

    def __init__(self, server_names: tuple[str | None, ...]) -> None:
        self._server_names = server_names

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - httpcore's signature
        local_address: str | None = None,  # noqa: ARG002 - none is configured
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002 - asyncio sets TCP_NODELAY
    ) -> httpcore.AsyncNetworkStream:
        loop = asyncio.get_running_loop()
        delay = None if _is_address(host) else NEXT_ADDRESS_S  # one that is cancelled in a race stays open for a while
        try:
            _, stream = await loop.create_connection(
                lambda: LoopStream(self._server_names), host, port, happy_eyeballs_delay=delay
            )
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        return stream

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError("nothing is retried")


def _is_address(host: str) -> bool:
    """Not a name, which may have several addresses to try."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class LoopStream(asyncio.Protocol, httpcore.AsyncNetworkStream):
    """One connection. What is written leaves with the next read, so that a request's head and body are one packet.

    Mutable state: what has come and was not read yet, touched by the loop's thread only.
    """

    def __init__(self, server_names: tuple[str | None, ...]) -> None:
        self._server_names = iter(server_names)
        self._transport: asyncio.Transport
        self._unsent: list[bytes] = []
        self._received = bytearray()
        self._paused = False
        self._ended = False
        self._error: Exception | None = None
        self._reader: asyncio.Future[None] | None = None

    # --- the loop's side -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) > MOST_RECEIVED and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self._ended = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._error = self._error or exc
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    # --- httpcore's side -----------------------------------------------------------------------------------------

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002, ASYNC109
        """The bytes received so far, at least one; empty at the end. Raises httpcore.ReadError."""
        self._send()
        while not self._received:
            if self._error is not None:
                raise httpcore.ReadError(str(self._error)) from self._error
            if self._ended:
                return b""
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        data = bytes(self._received[:max_bytes])
        del self._received[:max_bytes]
        if self._paused and len(self._received) <= MOST_RECEIVED:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109
        """Send `buffer` with the next read. Raises httpcore.WriteError where the connection is gone."""
        if self._transport.is_closing():
            raise httpcore.WriteError(str(self._error or "the connection was closed")) from self._error
        if buffer:
            self._unsent.append(buffer)

    def _send(self) -> None:
        if self._unsent:
            if not self._transport.is_closing():
                self._transport.writelines(self._unsent)
            self._unsent = []

    async def aclose(self) -> None:
        self._transport.abort()
        await asyncio.sleep(0)  # the loop closes the socket in its next turn

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - httpcore's signature
    ) -> httpcore.AsyncNetworkStream:
        name = next(self._server_names, None) or server_hostname
        try:
            made = await asyncio.get_running_loop().start_tls(self._transport, self, ssl_context, server_hostname=name)
        except OSError as error:
            self._transport.abort()
            raise httpcore.ConnectError(str(error)) from error
        except BaseException:
            self._transport.abort()
            raise
        if made is None:
            raise httpcore.ConnectError("the connection was closed while TLS was negotiated")
        self._transport = made
        return self

    def get_extra_info(self, info: str) -> Any:
        match info:
            case "is_readable":
                return self._is_readable()
            case "client_addr":
                return self._transport.get_extra_info("sockname")
            case "server_addr":
                return self._transport.get_extra_info("peername")
        return self._transport.get_extra_info(info)

    def _is_readable(self) -> bool:
        """Whether an idle connection is readable: it was closed, or the server sent data unasked."""
        if self._received or self._ended or self._transport.is_closing():
            return True
        waiting = select.poll()
        waiting.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(waiting.poll(0))
