"""TLS as `models.providers.<id>.request` asks for it, against servers whose certificates nobody else knows; and AWS's
signature, computed once more as its specification has it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import trustme

from clawtop.clock import SystemClock
from clawtop.engine.providers.base import Endpoint, Message, Network, Prompt, TextDelta, Timeouts
from clawtop.engine.providers.errors import ErrorKind, ProviderError
from clawtop.engine.providers.http import ProviderClient
from clawtop.store.provider.network_config import Tls
from clawtop.store.provider.secrets import Secret

HANGS_UP_LATE = pytest.mark.filterwarnings(
    "ignore:.*_SelectorTransport.__del__:pytest.PytestUnraisableExceptionWarning"
)
"""A server of asyncio may notice only after the test that a client hung up in the middle of a handshake."""
pytestmark = [pytest.mark.anyio, HANGS_UP_LATE]

ANSWER = (
    b'data: {"choices":[{"delta":{"content":"over TLS"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)  # fmt: skip
PROMPT = Prompt("m", (Message("user", "hello"),), max_tokens=8)


@asynccontextmanager
async def tls_server(context: ssl.SSLContext) -> AsyncIterator[int]:
    """The port of a server that answers every request over TLS."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(x.split(b":")[1]) for x in head.split(b"\r\n") if x.lower().startswith(b"content-length"))
            await reader.readexactly(length)
            writer.write(b"HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" + ANSWER)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_side(authority: trustme.CA, name: str = "localhost", *, asks: bool = False) -> ssl.SSLContext:
    """The server's context for the host `name`; `asks`: it wants a certificate of the client's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    if asks:
        context.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(context)
    return context


async def text_of(port: int, tls: Tls) -> str:
    """What one prompt over `tls` brings; raises ProviderError."""
    endpoint = Endpoint("inner", "openai-completions", f"https://localhost:{port}/v1", Secret("sk-inner-1234567"))
    client = ProviderClient(SystemClock())
    try:
        parts = [
            part async for part in client.stream(replace(endpoint, network=Network(tls)), PROMPT, Timeouts(connect=10))
        ]
    finally:
        await client.aclose()
    return "".join(part.text for part in parts if isinstance(part, TextDelta))


def pem(blobs: list[trustme.Blob]) -> str:
    return b"".join(blob.bytes() for blob in blobs).decode()


@pytest.mark.parametrize("as_file", [False, True], ids=["text", "path"])
async def test_an_authority_of_ones_own_is_trusted_as_a_text_and_as_a_path(
    authority: trustme.CA, tmp_path: Path, *, as_file: bool
) -> None:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    async with tls_server(server_side(authority)) as port:
        known = Tls(ca=(str(path) if as_file else authority.cert_pem.bytes().decode(),))
        assert await text_of(port, known) == "over TLS"


@pytest.mark.parametrize(
    ("server", "tls"),
    [
        (server_side, lambda _: Tls()),
        (lambda known: server_side(known, "other.example"), lambda known: Tls(ca=(pem([known.cert_pem]),))),
        (server_side, lambda _: Tls(ca=(pem([trustme.CA().cert_pem]),))),
    ],
    ids=["unknown authority", "another name", "another authority"],
)
async def test_what_cannot_be_proven_is_a_network_failure_that_says_certificate(
    authority: trustme.CA, server: Callable[[trustme.CA], ssl.SSLContext], tls: Callable[[trustme.CA], Tls]
) -> None:
    async with tls_server(server(authority)) as port:
        with pytest.raises(ProviderError) as caught:
            await text_of(port, tls(authority))
    assert caught.value.kind is ErrorKind.TRANSPORT
    assert "certificate" in str(caught.value).lower()


async def test_a_server_that_asks_in_vain_breaks_the_connection(authority: trustme.CA) -> None:
    async with tls_server(server_side(authority, asks=True)) as port:
        with pytest.raises(ProviderError) as caught:
            await text_of(port, Tls(ca=(pem([authority.cert_pem]),)))
    assert caught.value.kind is ErrorKind.TRANSPORT  # how much the server says of it is the server's


async def test_a_client_certificate_is_shown_to_a_server_that_asks(authority: trustme.CA) -> None:
    own = authority.issue_cert("clawtop@example.org")
    tls = Tls(
        ca=(pem([authority.cert_pem]),), cert=pem(own.cert_chain_pems), key=pem([own.private_key_pem])
    )  # fmt: skip
    async with tls_server(server_side(authority, asks=True)) as port:
        assert await text_of(port, tls) == "over TLS"


async def test_the_configured_name_stands_in_for_the_urls(authority: trustme.CA) -> None:
    tls = Tls(ca=(pem([authority.cert_pem]),), server_name="inner.example")
    async with tls_server(server_side(authority, "inner.example")) as port:
        assert await text_of(port, tls) == "over TLS"


async def test_the_check_is_off_only_where_the_configuration_says_so(authority: trustme.CA) -> None:
    async with tls_server(server_side(authority, "other.example")) as port:
        assert await text_of(port, Tls(insecure=True)) == "over TLS"


async def test_a_key_that_cannot_be_used_is_said_without_its_text(authority: trustme.CA) -> None:
    own, other = authority.issue_cert("a@example.org"), authority.issue_cert("b@example.org")
    key = pem([other.private_key_pem])
    async with tls_server(server_side(authority)) as port:
        with pytest.raises(ProviderError) as caught:
            await text_of(port, Tls(cert=pem(own.cert_chain_pems), key=key))
    assert "a client certificate cannot be used" in str(caught.value)
    assert not any(line in repr(caught.value) for line in key.splitlines()[1:-1])


def missing(_path: Path) -> None:
    pass


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def nonsense(path: Path) -> None:
    path.write_bytes(b"\x1b[2J\x00not PEM")


@pytest.mark.parametrize("part", ["a certificate authority", "a client certificate"])
@pytest.mark.parametrize("thing", [missing, os.mkfifo, endless, Path.mkdir, nonsense])
def test_what_is_no_certificate_is_named_and_waited_for_by_nobody(
    part: str, thing: Callable[[Path], object], tmp_path: Path
) -> None:
    path = tmp_path / "it.pem"
    thing(path)
    tls = Tls(ca=(str(path),)) if "authority" in part else Tls(cert=str(path))
    client = ProviderClient(SystemClock())
    endpoint = Endpoint("reef", "openai-completions", "https://127.0.0.1:1", network=Network(tls))
    with pytest.raises(ProviderError) as caught:
        client.prepare(endpoint)
    assert f"{part} in {path} cannot be used" in str(caught.value)
    assert "\x1b" not in str(caught.value)


def _derived(secret: str, *words: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for word in words:
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    return key


@pytest.mark.parametrize("token", [None, "session-token-1234567890"])
@pytest.mark.parametrize("model", ["anthropic.claude-3-haiku-20240307-v1:0", "plain"])
def test_a_signature_is_what_awss_specification_gives(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: str, token: str | None
) -> None:
    pytest.importorskip("botocore", reason="botocore is not installed: pip install -e '.[bedrock]'")
    from clawtop.engine.providers.bedrock import BedrockConverse, SigV4

    secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    if token:
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    where = Endpoint("aws", "bedrock-converse-stream", "https://bedrock-runtime.eu-west-1.amazonaws.com")
    url, body = BedrockConverse().url(where, model), b'{"messages":[]}'
    added = SigV4("eu-west-1", "aws")("POST", url, {"content-type": "application/json"}, body)

    scheme, _, fields = added["authorization"].partition(" ")
    said = dict(field.split("=", 1) for field in fields.split(", "))
    signed = said["SignedHeaders"].split(";")
    assert scheme == "AWS4-HMAC-SHA256"
    assert {"host", "x-amz-date", "content-type"} <= set(signed)
    assert ("x-amz-security-token" in signed) == (token is not None)
    parts = urlsplit(url)
    headers = {**added, "host": parts.netloc}
    canonical = "\n".join(
        (
            "POST",
            quote(parts.path, safe="/"),  # every service but S3 has its path encoded twice
            parts.query,
            *(f"{name}:{headers[name].strip()}" for name in signed),
            "",
            ";".join(signed),
            hashlib.sha256(body).hexdigest(),
        )
    )
    day, scope = headers["x-amz-date"][:8], f"{headers['x-amz-date'][:8]}/eu-west-1/bedrock/aws4_request"
    text = "\n".join((scheme, headers["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = _derived(secret, day, "eu-west-1", "bedrock", "aws4_request")
    assert said["Signature"] == hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    assert said["Credential"] == f"AKIDEXAMPLE/{scope}"
