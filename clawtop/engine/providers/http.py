"""One request, one stream, over httpcore: no retries, no redirects, no proxies or credentials from the environment.

Every wait has a limit (`limits`).
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import ssl
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, suppress
from functools import lru_cache
from typing import NamedTuple

import httpcore
import httpx

from clawtop.clock import Clock
from clawtop.core.model import FailureReason
from clawtop.engine.providers.anthropic import AnthropicMessages
from clawtop.engine.providers.base import (
    Api,
    Decoder,
    Endpoint,
    Finished,
    Network,
    Prompt,
    ReplyPart,
    SilentProgress,
    TextDelta,
    Timeouts,
)
from clawtop.engine.providers.bedrock import BedrockConverse, EventStreamFrames
from clawtop.engine.providers.encoding import as_utf8, unpacked
from clawtop.engine.providers.errors import (
    ErrorKind,
    ProviderError,
    broke_off,
    from_status,
    not_the_protocol,
    unusable_endpoint,
)
from clawtop.engine.providers.framing import Frames, FrameTooLargeError
from clawtop.engine.providers.google import GoogleGenerativeAi, GoogleVertex
from clawtop.engine.providers.lateness import LoopLateness
from clawtop.engine.providers.limits import CallLimits
from clawtop.engine.providers.ollama import Ollama
from clawtop.engine.providers.openai import OpenAiCompletions
from clawtop.engine.providers.pools import BrokenConnection, core_url, pool_for, proxy_name
from clawtop.engine.providers.reply import ReplyDecoder
from clawtop.engine.providers.reply_api import DOCUMENT, DetectingDecoder
from clawtop.engine.providers.responses import AzureResponses, CodexResponses, OpenAiResponses

_SPOKEN: tuple[Api, ...] = (
    AnthropicMessages(),
    OpenAiCompletions(),
    OpenAiResponses(),
    AzureResponses(),
    CodexResponses(),
    GoogleGenerativeAi(),
    GoogleVertex(),
    Ollama(),
    BedrockConverse(),
)
ALIASES: Mapping[str, str] = {
    "github-copilot": "openai-completions",
    "openai-chatgpt-responses": "openai-codex-responses",
    "mistral-conversations": "openai-completions",
}
"""Other names that versions of OpenClaw use for the same APIs."""
APIS: Mapping[str, Api] = {api.kind: api for api in _SPOKEN} | {
    alias: api for alias, kind in ALIASES.items() for api in _SPOKEN if api.kind == kind
}
FETCH_TIMEOUTS = Timeouts(connect=10, first_byte=15, idle=15, total=20)
ERROR_BODY_LIMIT = 64 * 1024
REPLY_LIMIT = 128 * 1024 * 1024
"""Bytes of one reply, unpacked: several times what the longest context of tokens takes, each in an event of its own."""
LARGE_PIECE = 16 * 1024
"""Bytes after which the event loop gets a turn: reading a body that has already arrived never waits otherwise."""
DRAIN_SECONDS = 0.02
MOST_PACKINGS = 3
CERTIFICATE = "CERT_VERIFY_FAILED"
CONNECTING = 64
"""How many connections are made at the same time; the time limit of one that waits for its turn does not run."""


_HEADERS: Mapping[str, str] = {"user-agent": "clawtop", "connection": "keep-alive", "accept": "*/*"}


class _WebAddress(NamedTuple):
    """Where a request goes, and what its `host` header says."""

    url: httpcore.URL
    host: bytes


@lru_cache(maxsize=64)
def _web_address(url: str) -> _WebAddress:
    """Raises httpx.InvalidURL."""
    parsed = httpx.URL(url)
    return _WebAddress(core_url(parsed), parsed.netloc)


class ProviderClient:
    """The HTTP client that all runs of one event loop share: one pool for each way to make connections.

    Over httpcore, which httpx is built on: what httpx adds - cookies, redirects, authentication - is not wanted here.

    Raises ProviderError, and nothing else, for any failure of a provider or the connection. Cancelling a stream
    closes its connection.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pools: dict[Network, httpcore.AsyncConnectionPool] = {}
        self._connecting = asyncio.Semaphore(CONNECTING)
        self._lateness = LoopLateness(clock)

    async def aclose(self) -> None:
        pools, self._pools = tuple(self._pools.values()), {}
        for pool in pools:
            await pool.aclose()

    async def stream(self, endpoint: Endpoint, prompt: Prompt, timeouts: Timeouts) -> AsyncGenerator[ReplyPart, None]:
        """Ask once and yield the reply's parts; the last one is `Finished`.

        Raises:
            ProviderError: no connection, an error status, an error event, a limit passed, an answer that is not the
                api's, a reply that breaks off, or a reply without words.
        """
        api = APIS.get(endpoint.api)
        if api is None:
            raise unusable_endpoint(endpoint.provider, f"api kind {endpoint.api!r} is not one that clawtop speaks")
        limits = CallLimits(endpoint.provider, timeouts, self._clock, self._lateness)
        try:
            response = await self._send(api, endpoint, prompt, limits)
            try:
                async for part in self._parts(endpoint, decoder_of(api, endpoint), response, limits):
                    yield part
            finally:
                with suppress(Exception):
                    await _closed(response)
        except BrokenConnection as error:
            raise _broken(endpoint, error) from None
        except (httpx.InvalidURL, ValueError) as error:
            raise unusable_endpoint(endpoint.provider, f"the base URL or a header cannot be used: {error}") from None

    async def fetch(self, endpoint: Endpoint, url: str, headers: dict[str, str]) -> tuple[int, dict[str, str], str]:
        """One small GET over the connections of `endpoint`: status, headers, and the beginning of the body.

        Raises ProviderError. For exchanges of tokens; `timeouts` are short and fixed.
        """
        limits = CallLimits(endpoint.provider, FETCH_TIMEOUTS, self._clock, self._lateness)
        try:
            response = await self._answer(endpoint, url, {**_HEADERS, **headers}, None, limits)
            try:
                return response.status, dict(httpx.Headers(response.headers)), await _excerpt(response, limits)
            finally:
                await _closed(response)
        except BrokenConnection as error:
            raise _broken(endpoint, error) from None

    def prepare(self, endpoint: Endpoint) -> None:
        """Set up what calls to this endpoint share, so that the first takes no longer than the others.

        Raises ProviderError when it cannot be connected to as configured.
        """
        self._pool(endpoint)

    def _pool(self, endpoint: Endpoint) -> httpcore.AsyncConnectionPool:
        network = endpoint.network
        known = self._pools.get(network)
        if known is None:
            try:
                known = self._pools[network] = pool_for(network)
            except (httpx.InvalidURL, ValueError) as error:
                raise unusable_endpoint(endpoint.provider, f"it cannot be reached as configured: {error}") from None
        return known

    async def _answer(
        self,
        endpoint: Endpoint,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
        limits: CallLimits,
    ) -> httpcore.Response:
        """The answer's head to a POST of `content`, or to a GET; its body is still to be read."""
        pool, target = self._pool(endpoint), _web_address(url)
        lines = [(b"host", target.host)] if "host" not in headers else []
        lines += [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
        if content is not None:
            lines.append((b"content-length", b"%d" % len(content)))
        method = "GET" if content is None else "POST"
        request = httpcore.Request(
            method, target.url, headers=lines, content=content, extensions={"trace": limits.on_trace}
        )
        async with limits.until_answer(self._connecting):
            return await pool.handle_async_request(request)

    async def _send(self, api: Api, endpoint: Endpoint, prompt: Prompt, limits: CallLimits) -> httpcore.Response:
        url = api.url(endpoint, prompt.model)
        content = json.dumps(api.body(endpoint, prompt), ensure_ascii=False, separators=(",", ":")).encode(
            "utf-8", "surrogatepass" if endpoint.sign is None else "replace"
        )
        headers = {
            **_HEADERS,
            "accept": "text/event-stream",
            "accept-encoding": "identity",
            "content-type": "application/json",
            **_own_way(api.headers(endpoint), endpoint),
            **endpoint.headers,
        }
        if endpoint.sign is not None:
            headers |= endpoint.sign("POST", url, headers, content)
        return await self._answer(endpoint, url, headers, content, limits)

    async def _parts(
        self, endpoint: Endpoint, decoder: Decoder, response: httpcore.Response, limits: CallLimits
    ) -> AsyncIterator[ReplyPart]:
        provider = endpoint.provider
        limits.stands()
        if not 200 <= response.status < 300:
            body = await _excerpt(response, limits)
            now, took = self._clock.now_ms(), limits.elapsed()
            raise from_status(provider, response.status, httpx.Headers(response.headers), body, now, took, limits.late)
        content_type = _header(response, b"content-type").partition(";")[0].strip().lower()
        if content_type in {"text/html", "application/xhtml+xml"}:
            raise _not_a_stream(provider, content_type, await _excerpt(response, limits))
        said_something, end = False, None
        frames = FRAMINGS.get(endpoint.api, Frames)()
        async with aclosing(_events(response, frames, endpoint, limits, decoder)) as events:
            async for event, data in events:
                for part in _decoded(decoder, event, data, limits, self._clock):
                    said_something = said_something or (isinstance(part, TextDelta) and not part.text.isspace())
                    if not isinstance(part, SilentProgress) or part.thinking:
                        yield part
                if decoder.done:
                    break
            end = decoder.finish()
            if end is None:
                raise broke_off(provider, frames.stray)
            if decoder.done:
                await self._drain(events)
            _judge(provider, end, said_something=said_something)
            yield end

    async def _drain(self, events: AsyncIterator[object]) -> None:
        """Read a finished reply to its end, so that the connection can be used again; not for long."""
        with suppress(TimeoutError, ProviderError, *BrokenConnection):
            async with self._clock.timeout(DRAIN_SECONDS):
                async for _ in events:
                    pass


async def _closed(response: httpcore.Response) -> None:
    """Close it whole, even if it is cancelled meanwhile: httpcore would keep half of it for ever."""
    closing = asyncio.ensure_future(response.aclose())
    try:
        await asyncio.shield(closing)
    except asyncio.CancelledError:
        await asyncio.wait({closing})
        raise


def decoder_of(api: Api, endpoint: Endpoint) -> Decoder:
    """What decodes one reply: by the API that was asked for, or the one that the reply turns out to be in."""
    asked = api.decoder(endpoint)
    if isinstance(asked, ReplyDecoder) and api.kind not in FRAMINGS:
        return DetectingDecoder(asked)
    return asked


def _bytes(response: httpcore.Response) -> AsyncIterator[bytes]:
    """The body as it arrives, decompressed if the server compressed it, although that was not asked for."""
    body = response.aiter_stream()
    for packing in reversed(_packing(response).lower().split(",")[-MOST_PACKINGS:]):
        body = unpacked(body, packing.strip())
    return body


def _packing(response: httpcore.Response) -> str:
    """How the body is compressed, as the server says; empty if it does not."""
    return _header(response, b"content-encoding").strip()


def _header(response: httpcore.Response, wanted: bytes) -> str:
    """The first header of this name (in lower case); empty without one."""
    found = next((value for name, value in response.headers if name.lower() == wanted), b"")
    return found.decode("latin-1")


def _own_way(headers: dict[str, str], endpoint: Endpoint) -> dict[str, str]:
    """The api's headers, with the way to authenticate that the configuration asks for (`request.auth`)."""
    if endpoint.auth is None:
        return headers
    kept = {name: value for name, value in headers.items() if name not in {"authorization", "x-api-key", "api-key"}}
    return {**kept, endpoint.auth[0].lower(): endpoint.auth[1]}


async def _events(
    response: httpcore.Response, frames: Frames, endpoint: Endpoint, limits: CallLimits, decoder: Decoder
) -> AsyncGenerator[tuple[str, str], None]:
    """The events of a body, each wait for the next bytes within its limit.

    A reply that has its end is complete, whether the connection then ends, breaks or stays open.
    """
    chunks, nothing, size = _bytes(response), True, 0
    try:
        while True:
            try:
                async with limits.until_bytes(closing=decoder.complete):
                    chunk = await anext(chunks, None)
                    if chunk is not None and len(chunk) >= LARGE_PIECE:
                        await asyncio.sleep(0)
            except (ProviderError, *BrokenConnection):
                if decoder.complete:
                    return
                raise
            if chunk is None:
                break
            size += len(chunk)
            if size > REPLY_LIMIT:
                raise not_the_protocol(endpoint.provider, f"the reply exceeds {REPLY_LIMIT} bytes", frames.stray)
            for frame in frames.feed(chunk):
                nothing = False
                yield frame
        for frame in frames.rest():
            nothing = False
            yield frame
        if frames.was_one_document:
            yield DOCUMENT, ""
        if nothing and frames.stray:
            packing = _packing(response)
            how = f" (compressed as {packing}, which was not asked for)" if packing else ""
            what = f"the answer is not an event stream{how}: {frames.stray}"
            raise not_the_protocol(endpoint.provider, what, frames.stray)
    except zlib.error as error:
        raise ProviderError(
            ErrorKind.TRANSPORT, f"the reply cannot be decompressed: {error}", provider=endpoint.provider, code="EPROTO"
        ) from None
    except FrameTooLargeError as error:
        raise not_the_protocol(endpoint.provider, str(error)) from None


FRAMINGS: Mapping[str, type[Frames]] = {BedrockConverse.kind: EventStreamFrames}
"""APIs whose bodies have their own framing."""


def _decoded(decoder: Decoder, event: str, data: str, limits: CallLimits, clock: Clock) -> Iterator[ReplyPart]:
    complete = decoder.complete
    try:
        for part in decoder.feed(event, data):
            limits.got_content()
            yield part
    except ProviderError as error:
        if complete:
            return  # the reply was complete: later failures are not the reply's
        if error.kind is not ErrorKind.IN_STREAM:
            raise
        raise limits.seen_late(error, clock.now_ms()) from None


def _judge(provider: str, end: Finished, *, said_something: bool) -> None:
    """Raise the error for a reply without text."""
    if said_something:
        return
    if end.stop_reason in {"filter", "refusal"}:
        what = end.filtered or end.stop_reason
        raise ProviderError(
            ErrorKind.FILTERED, f"the provider refused the content ({what})", provider=provider, code=end.stop_reason
        )
    if end.tool_calls:
        names = ", ".join(end.tool_calls[:8])
        raise ProviderError(
            ErrorKind.TOOLS,
            f"the model only asked for tools ({names}), which clawtop does not run",
            provider=provider,
            code="tool_calls",
            hint="drive it through the gateway, which runs its tools",
        )
    if end.stop_reason == "length":
        raise ProviderError(
            ErrorKind.EMPTY, "the reply reached its token limit before any text", provider=provider, code="length"
        )
    raise ProviderError(ErrorKind.EMPTY, "the provider sent an empty reply", provider=provider)


async def _excerpt(response: httpcore.Response, limits: CallLimits) -> str:
    """The start of a body that is not a reply. Errors while reading it matter less than the status."""
    body = bytearray()
    chunks = _bytes(response)
    with suppress(ProviderError, zlib.error, *BrokenConnection):
        while len(body) < ERROR_BODY_LIMIT:
            async with limits.until_bytes(closing=True):
                chunk = await anext(chunks, None)
            if chunk is None:
                break
            body += chunk
    return as_utf8(bytes(body[:ERROR_BODY_LIMIT])).decode("utf-8", "replace")


def _not_a_stream(provider: str, content_type: str, body: str) -> ProviderError:
    return not_the_protocol(provider, f"the answer is {content_type or 'of no stated type'}, not an event stream", body)


def _broken(endpoint: Endpoint, error: Exception) -> ProviderError:
    code = _errno_name(error)
    if isinstance(error, httpcore.ProtocolError | httpcore.ReadError | httpcore.WriteError):
        code = code or "ECONNRESET"
    words = f"{type(error).__name__}: {error}".rstrip(": ")
    if code:
        words = f"{words} ({code})"
    if endpoint.network.proxy is not None:
        words = f"through the proxy {proxy_name(endpoint.network.proxy)}: {words}"
    certificate = FailureReason.TLS_CERTIFICATE if code == CERTIFICATE else None
    return ProviderError(ErrorKind.TRANSPORT, words, provider=endpoint.provider, code=code, reason=certificate)


def _errno_name(error: BaseException) -> str | None:
    """The errno name or TLS verification code beneath an error of httpcore; None if there is none."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        if isinstance(current, ssl.SSLCertVerificationError):
            return CERTIFICATE
        if isinstance(current, socket.gaierror):
            return "EAI_AGAIN" if current.errno == socket.EAI_AGAIN else "ENOTFOUND"
        if isinstance(current, OSError) and current.errno is not None and current.errno in errno.errorcode:
            return errno.errorcode[current.errno]
        if isinstance(current, OSError) and (found := _errno_in_words(str(current))):
            return found
        current = current.__cause__ or current.__context__
    return None


def _errno_in_words(text: str) -> str | None:
    """asyncio wraps several connection failures into one OSError without errno; its text names them."""
    return next(
        (
            name
            for number, name in errno.errorcode.items()
            if f"[Errno {number}]" in text or os.strerror(number) == text
        ),
        None,
    )
