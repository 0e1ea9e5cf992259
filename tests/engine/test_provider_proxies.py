"""Proxies of every kind between clawtop and a provider: a tunnel, a tunnel over TLS, and SOCKS by OpenSSH."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest
import trustme

from clawtop.clock import SystemClock
from clawtop.engine.providers.base import Endpoint, Network, TextDelta, Timeouts
from clawtop.engine.providers.errors import ErrorKind, ProviderError
from clawtop.engine.providers.http import ProviderClient
from clawtop.store.provider.network_config import Tls
from clawtop.store.provider.secrets import Secret
from tests.engine.test_provider_tls import HANGS_UP_LATE, PROMPT, pem, server_side, tls_server
from tests.fleet.far_hosts import has_sshd, ssh_hosts
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, HANGS_UP_LATE]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@asynccontextmanager
async def tunnel(tls: ssl.SSLContext | None, refuses: bytes = b"") -> AsyncIterator[tuple[int, list[bytes]]]:
    """(port, heads of the requests) of a proxy that knows CONNECT only, or answers everything with `refuses`."""
    heads: list[bytes] = []
    tasks: list[asyncio.Task[None]] = []
    writers: list[asyncio.StreamWriter] = []

    async def copy(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65536):
                to.write(data)
        to.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        if refuses or not head.startswith(b"CONNECT "):
            writer.write(refuses or b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n")
            return
        host, port = head.split()[1].decode().rsplit(":", 1)
        there, back = await asyncio.open_connection(host, int(port))
        writers.append(back)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        tasks.extend(asyncio.create_task(copy(*ends)) for ends in ((reader, back), (there, writer)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1], heads
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await asyncio.gather(*tasks)
        for writer in writers:
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()


async def text_of(url: str, network: Network) -> str:
    client = ProviderClient(SystemClock())
    endpoint = Endpoint("inner", "openai-completions", url, Secret("sk-inner-1234567"), network=network)
    try:
        parts = [part async for part in client.stream(endpoint, PROMPT, Timeouts(connect=10))]
    finally:
        await client.aclose()
    return "".join(part.text for part in parts if isinstance(part, TextDelta))


async def test_a_tunnel_sees_where_to_and_not_what(authority: trustme.CA) -> None:
    async with tls_server(server_side(authority)) as port, tunnel(None) as (proxy, heads):
        known = Tls(ca=(pem([authority.cert_pem]),))
        network = Network(known, f"http://user:of-the-proxy@127.0.0.1:{proxy}")
        assert await text_of(f"https://localhost:{port}/v1", network) == "over TLS"
    assert heads[0].startswith(b"CONNECT localhost:%d " % port)
    assert b"Basic dXNlcjpvZi10aGUtcHJveHk=" in heads[0]
    assert b"sk-inner" not in b"".join(heads)


@pytest.mark.parametrize(("name", "of_proxy"), [("localhost", None), ("inner.example", "proxy.example")])
async def test_a_proxy_over_tls_and_the_provider_are_each_proven_by_their_own(
    authority: trustme.CA, name: str, of_proxy: str | None
) -> None:
    """TLS in TLS, two authorities, with and without configured names."""
    other = trustme.CA()
    inner = Tls(ca=(pem([authority.cert_pem]),), server_name=name if of_proxy else None)
    outer = Tls(ca=(pem([other.cert_pem]),), server_name=of_proxy)
    proxy_side = server_side(other, of_proxy or "localhost")
    async with tls_server(server_side(authority, name)) as port, tunnel(proxy_side) as (proxy, heads):
        url = f"https://localhost:{port}/v1"
        assert await text_of(url, Network(inner, f"https://localhost:{proxy}", outer)) == "over TLS"
        with pytest.raises(ProviderError, match="certificate"):
            await text_of(url, Network(inner, f"https://localhost:{proxy}", inner))
    assert len(heads) == 1


@pytest.mark.parametrize(
    ("refuses", "words"),
    [
        (
            b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n",
            "407 Proxy Authentication Required",
        ),
        (b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", "503 Service Unavailable"),
    ],
)
async def test_what_a_proxy_says_is_not_the_providers_word(refuses: bytes, words: str) -> None:
    async with tunnel(None, refuses) as (proxy, _):
        with pytest.raises(ProviderError) as caught:
            await text_of("https://provider.example/v1", Network(proxy=f"http://u:secret-of-proxy@127.0.0.1:{proxy}"))
    assert caught.value.kind is ErrorKind.TRANSPORT
    assert f"through the proxy 127.0.0.1:{proxy}" in str(caught.value)
    assert words in str(caught.value)
    assert "secret-of-proxy" not in str(caught.value)


@pytest.mark.parametrize("proxy", ["ftp://[nowhere", "socks4://127.0.0.1:1", "nonsense", "http://127.0.0.1:99999"])
async def test_a_proxy_that_cannot_be_used_is_said(proxy: str) -> None:
    with pytest.raises(ProviderError, match="cannot be reached as configured"):
        await text_of("https://127.0.0.1:1", Network(proxy=proxy))


@contextmanager
def socks(directory: Path) -> Iterator[int]:
    """The port of a SOCKS proxy: OpenSSH's own, to this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    with ssh_hosts(directory, {"relay": directory}) as near:
        ssh = subprocess.Popen([near / "ssh", "-N", "-D", f"127.0.0.1:{port}", "relay"], stderr=subprocess.DEVNULL)
        try:
            yield port
        finally:
            ssh.terminate()
            ssh.wait(timeout=30)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.slow
@pytest.mark.skipif(not has_sshd(), reason="openssh-server is not installed")
@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks"])
async def test_a_socks_proxy_is_gone_through_by_each_of_its_names(
    authority: trustme.CA, tmp_path: Path, scheme: str
) -> None:
    """Node's client, which OpenClaw uses, knows `socks` and `socks5`."""
    with socks(tmp_path / "ssh") as proxy:
        await until(lambda: listens(proxy))
        async with tls_server(server_side(authority)) as port:
            network = Network(Tls(ca=(pem([authority.cert_pem]),)), f"{scheme}://127.0.0.1:{proxy}")
            assert await text_of(f"https://localhost:{port}/v1", network) == "over TLS"
