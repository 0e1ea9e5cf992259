"""One request, one stream, over httpx: no retries, no redirects, no proxies or credentials from the environment."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from typing import Any

import httpx
from httpx_sse import EventSource

from clawtop.clock import Clock, Deadline
from clawtop.engine.providers.anthropic import AnthropicMessages
from clawtop.engine.providers.base import Api, Decoder, Endpoint, Prompt, ReplyPart, TextDelta, Timeouts
from clawtop.engine.providers.errors import (
    ErrorKind,
    ProviderError,
    error_object,
    from_event,
    from_status,
    not_the_protocol,
)
from clawtop.engine.providers.openai import OpenAiCompletions

APIS: Mapping[str, Api] = {api.kind: api for api in (AnthropicMessages(), OpenAiCompletions())}
ERROR_BODY_LIMIT = 64 * 1024
EVENT_LIMIT = 4 * 1024 * 1024
DRAIN_SECONDS = 0.1
KEEPALIVE_SECONDS = 2.0
"""Short: a server that closes an idle connection in the moment of reuse looks like a broken provider."""


class ProviderClient:
    """The HTTP client that all runs of one event loop share.

    Raises ProviderError, and nothing else, for whatever a provider or the way to it does wrong. Cancelling a stream
    closes its connection.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._client = httpx.AsyncClient(
            trust_env=False,
            follow_redirects=False,
            timeout=None,  # noqa: S113 - _Limits has every wait in hand
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=KEEPALIVE_SECONDS),
            headers={"user-agent": "clawtop"},
        )

    async def aclose(self) -> None:
        await self._client.aclose()

    async def stream(self, endpoint: Endpoint, prompt: Prompt, timeouts: Timeouts) -> AsyncGenerator[ReplyPart, None]:
        """Ask once and yield the reply's parts; the last one is `Finished`.

        Raises:
            ProviderError: no connection, an error status, an error event, a limit passed, an answer that is not the
                api's, a reply that breaks off, or a reply without content.
        """
        api = APIS.get(endpoint.api)
        if api is None:
            raise not_the_protocol(endpoint.provider, f"api kind {endpoint.api!r} is not one that clawtop speaks")
        limits = _Limits(endpoint.provider, timeouts, self._clock)
        try:
            response = await self._send(api, endpoint, prompt, limits)
            try:
                async for part in self._parts(endpoint, api.decoder(endpoint), response, limits):
                    yield part
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            raise _broken(endpoint.provider, error) from None
        except (httpx.InvalidURL, ValueError) as error:
            raise not_the_protocol(endpoint.provider, f"the base URL or a header cannot be used: {error}") from None

    async def _send(self, api: Api, endpoint: Endpoint, prompt: Prompt, limits: _Limits) -> httpx.Response:
        request = self._client.build_request(
            "POST",
            api.url(endpoint.base_url),
            json=api.body(endpoint, prompt),
            headers={
                "accept": "text/event-stream",
                "accept-encoding": "identity",
                **api.headers(endpoint),
                **endpoint.headers,
            },
            extensions={"trace": limits.on_trace},
        )
        async with limits.until_answer():
            response = await self._client.send(request, stream=True)
        response.stream = _Guarded(response.stream, limits)
        return response

    async def _parts(
        self, endpoint: Endpoint, decoder: Decoder, response: httpx.Response, limits: _Limits
    ) -> AsyncIterator[ReplyPart]:
        provider = endpoint.provider
        if not response.is_success:
            body = await _excerpt(response)
            raise from_status(provider, response.status_code, response.headers, body, self._clock.now_ms())
        content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type != "text/event-stream":
            raise _not_a_stream(provider, content_type, await _excerpt(response))
        said_something = False
        async with aclosing(EventSource(response).aiter_sse()) as events:
            async for event in events:
                for part in decoder.feed(event.data) if event.data else ():
                    said_something = said_something or (isinstance(part, TextDelta) and not part.text.isspace())
                    yield part
                if decoder.done:
                    break
            end = decoder.finish()
            if end is None:
                raise ProviderError(
                    ErrorKind.TRANSPORT,
                    "the reply broke off before its end",
                    provider=provider,
                    code="ECONNRESET",
                )
            if not said_something:
                raise ProviderError(ErrorKind.EMPTY, "the provider sent an empty reply", provider=provider)
            yield end
            await limits.drain(events)


class _Limits:
    """The clocks of one call: which phase it is in and until when."""

    def __init__(self, provider: str, timeouts: Timeouts, clock: Clock) -> None:
        self._provider = provider
        self._timeouts = timeouts
        self._clock = clock
        self._end = self._at(timeouts.total)
        self._first_byte_end: float | None = None
        self._phase = "connect"
        self._waiting: Deadline | None = None

    async def on_trace(self, name: str, _info: Mapping[str, Any]) -> None:
        """httpcore says that the connection stands and the request is going out."""
        if name.endswith("send_request_headers.started") and self._phase == "connect":
            self._phase = "first-byte"
            self._first_byte_end = self._at(self._timeouts.first_byte)
            if self._waiting is not None:
                self._waiting.reschedule(self._sooner(self._first_byte_end))

    def until_answer(self) -> AbstractAsyncContextManager[None]:
        return self._until(self._at(self._timeouts.connect))

    def until_bytes(self) -> AbstractAsyncContextManager[None]:
        return self._until(self._first_byte_end if self._phase == "first-byte" else self._at(self._timeouts.idle))

    @asynccontextmanager
    async def _until(self, deadline: float | None) -> AsyncIterator[None]:
        self._waiting = self._clock.timeout_at(self._sooner(deadline))
        try:
            async with self._waiting:
                yield
        except TimeoutError:
            raise self._expired() from None
        finally:
            self._waiting = None

    def got_bytes(self) -> None:
        self._phase = "idle"

    async def drain(self, events: AsyncIterator[object]) -> None:
        """Read a finished reply to its end, so that the connection can be used again; not for long."""
        with suppress(TimeoutError, ProviderError, httpx.HTTPError):
            async with self._clock.timeout(DRAIN_SECONDS):
                async for _ in events:
                    pass

    def _expired(self) -> ProviderError:
        total_passed = self._end is not None and self._clock.monotonic() >= self._end
        phase = "total" if total_passed else self._phase
        seconds = {
            "connect": self._timeouts.connect,
            "first-byte": self._timeouts.first_byte,
            "idle": self._timeouts.idle,
            "total": self._timeouts.total,
        }[phase]
        return ProviderError(
            ErrorKind.TIMEOUT,
            f"{phase} timeout after {seconds:g} s",
            provider=self._provider,
            code="ETIMEDOUT",
            phase=phase,
        )

    def _at(self, seconds: float | None) -> float | None:
        return None if seconds is None else self._clock.monotonic() + seconds

    def _sooner(self, deadline: float | None) -> float | None:
        ends = [end for end in (deadline, self._end) if end is not None]
        return min(ends) if ends else None


class _Guarded(httpx.AsyncByteStream):
    """A body whose every wait has a limit, and whose lines cannot grow without end."""

    def __init__(self, stream: httpx.SyncByteStream | httpx.AsyncByteStream, limits: _Limits) -> None:
        if not isinstance(stream, httpx.AsyncByteStream):
            raise TypeError("an async client gave a sync stream")
        self._stream = stream
        self._limits = limits

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks = aiter(self._stream)
        since_newline = 0
        while True:
            async with self._limits.until_bytes():
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            self._limits.got_bytes()
            newline = chunk.rfind(b"\n")
            since_newline = since_newline + len(chunk) if newline < 0 else len(chunk) - newline
            if since_newline > EVENT_LIMIT:
                raise httpx.RemoteProtocolError(f"one line of the reply exceeds {EVENT_LIMIT} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _excerpt(response: httpx.Response) -> str:
    """The beginning of a body that is not a reply. What breaks while it is read is less telling than the status."""
    body = bytearray()
    with suppress(httpx.HTTPError, ProviderError):
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) >= ERROR_BODY_LIMIT:
                break
    return bytes(body[:ERROR_BODY_LIMIT]).decode("utf-8", "replace")


def _not_a_stream(provider: str, content_type: str, body: str) -> ProviderError:
    error = error_object(body) if content_type.endswith("json") else None
    if error is not None and "message" in error:
        return from_event(provider, error)
    return not_the_protocol(provider, f"the answer is {content_type or 'of no stated type'}, not an event stream", body)


def _broken(provider: str, error: httpx.HTTPError) -> ProviderError:
    code = _errno_name(error)
    if isinstance(error, httpx.ProtocolError | httpx.ReadError | httpx.WriteError | httpx.CloseError):
        code = code or "ECONNRESET"
    words = f"{type(error).__name__}: {error}".rstrip(": ")
    return ProviderError(ErrorKind.TRANSPORT, f"{words} ({code})" if code else words, provider=provider, code=code)


def _errno_name(error: BaseException) -> str | None:
    """The errno name or TLS verification code at the bottom of an httpx error; None where there is none."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        if isinstance(current, ssl.SSLCertVerificationError):
            return "CERT_VERIFY_FAILED"
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
