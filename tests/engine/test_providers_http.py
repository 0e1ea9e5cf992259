"""Provider calls over real sockets: every fault ends in one typed error, and no secret in any of them."""

from __future__ import annotations

import asyncio
import pickle
import time
import traceback
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any

import pytest

from clawtop.clock import Clock, SystemClock
from clawtop.demo.provider import (
    Act,
    BreakStream,
    Drop,
    Raw,
    Refuse,
    Respond,
    ScriptedProvider,
    Stall,
    out_of_credit,
    overloaded,
    rate_limited,
)
from clawtop.engine.providers.base import Endpoint, Finished, Message, Prompt, ReplyPart, TextDelta, Timeouts
from clawtop.engine.providers.errors import ErrorKind, ProviderError
from clawtop.engine.providers.http import APIS as APIS_BY_KIND
from clawtop.engine.providers.http import ProviderClient
from clawtop.engine.providers.limits import CallLimits
from clawtop.store.provider.secrets import Secret
from tests.support.clocks import ManualClock

pytestmark = pytest.mark.anyio

KEY = "sk-lobster-0123456789abcdef"
APIS = ("anthropic-messages", "openai-completions")
QUICK = Timeouts(connect=2, first_byte=5, idle=5, total=None)
BOTH = pytest.mark.parametrize("api", APIS)


UNAVAILABLE_PAGE = Refuse(
    503, body="<html><body><h1>503 Service Unavailable</h1></body></html>", content_type="text/html; charset=utf-8"
)


@asynccontextmanager
async def provider_and_client(
    *acts: Act, clock: Clock | None = None
) -> AsyncIterator[tuple[ScriptedProvider, ProviderClient]]:
    client = ProviderClient(clock or SystemClock())
    async with ScriptedProvider() as provider:
        provider.queue(KEY, *acts)
        try:
            yield provider, client
        finally:
            await client.aclose()


def endpoint(provider: ScriptedProvider, api: str, **more: object) -> Endpoint:
    values: dict[str, object] = {"base_url": provider.base_url(api), "secret": Secret(KEY), **more}
    return Endpoint(provider="reef", api=api, **values)  # type: ignore[arg-type]


PROMPT = Prompt("crab-1", (Message("user", "who goes there?"),))


async def collect(
    client: ProviderClient, where: Endpoint, timeouts: Timeouts = QUICK, prompt: Prompt = PROMPT
) -> tuple[str, list[ReplyPart]]:
    parts = [part async for part in client.stream(where, prompt, timeouts)]
    return "".join(part.text for part in parts if isinstance(part, TextDelta)), parts


async def failure(act: Act, api: str, timeouts: Timeouts = QUICK) -> tuple[ProviderError, ScriptedProvider]:
    async with provider_and_client(act) as (provider, client):
        with pytest.raises(ProviderError) as caught:
            await collect(client, endpoint(provider, api), timeouts)
    assert len(provider.requests) == 1
    return caught.value, provider


@BOTH
async def test_a_reply_streams_in_pieces_and_ends_with_its_usage(api: str) -> None:
    async with provider_and_client(Respond("Snip, snap, snout.", pieces=5)) as (provider, client):
        text, parts = await collect(client, endpoint(provider, api))
    assert text == "Snip, snap, snout."
    assert len(parts) == 6
    end = parts[-1]
    assert isinstance(end, Finished)
    assert (end.stop_reason, end.usage.input, end.usage.output, end.usage.total) == ("stop", 12, 7, 19)
    assert end.response_id
    assert end.model == "crab-1"


@BOTH
async def test_bytes_that_trickle_one_by_one_are_the_same_reply(api: str) -> None:
    text = "Ünïcode 🦞 claws"
    async with provider_and_client(Respond(text, bytewise=True, pieces=3)) as (provider, client):
        said, _ = await collect(client, endpoint(provider, api))
    assert said == text


@BOTH
async def test_one_connection_serves_the_next_call(api: str) -> None:
    async with provider_and_client() as (provider, client):
        for _ in range(3):
            await collect(client, endpoint(provider, api))
        assert len(provider.requests) == 3
        assert len(provider._connections) == 1


@BOTH
async def test_the_wire_carries_the_conversation_and_the_key_in_its_custom(api: str) -> None:
    talk = Prompt(
        "crab-1",
        (Message("user", "a"), Message("user", "b"), Message("assistant", "c"), Message("user", "d")),
        system="be brief",
        max_tokens=99,
    )
    async with provider_and_client() as (provider, client):
        await collect(client, endpoint(provider, api, headers={"x-tenant": "tidepool"}), prompt=talk)
    (request,) = provider.requests
    assert request.said[-3:] == ("a\n\nb", "c", "d")
    limit = "max_tokens" if api == "anthropic-messages" else "max_completion_tokens"
    assert request.body[limit] == 99
    assert "be brief" in str(request.body)
    assert request.headers["x-tenant"] == "tidepool"
    assert ("x-api-key" in request.headers) == (api == "anthropic-messages")
    assert ("authorization" in request.headers) == (api == "openai-completions")


@pytest.mark.parametrize(("kind", "bearer"), [("token", False), ("oauth", False), ("api_key", True)])
async def test_anthropic_tokens_go_as_bearer_without_beta_headers_to_foreign_hosts(kind: str, bearer: bool) -> None:
    async with provider_and_client() as (provider, client):
        await collect(client, endpoint(provider, APIS[0], credential_type=kind, bearer=bearer))
    (request,) = provider.requests
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert "x-api-key" not in request.headers
    assert "anthropic-beta" not in request.headers


@BOTH
@pytest.mark.parametrize(
    ("act", "status", "code"),
    [
        (rate_limited(), 429, "rate_limit_error"),
        (out_of_credit(), 402, "billing_error"),
        (overloaded(), 529, "overloaded_error"),
        (Refuse(401, "authentication_error", "invalid x-api-key"), 401, "authentication_error"),
        (Refuse(500, body="", content_type="text/plain"), 500, None),
    ],
)
async def test_an_error_status_is_one_error_with_status_code_and_request_id(
    api: str, act: Refuse, status: int, code: str | None
) -> None:
    error, _ = await failure(act, api)
    assert (error.kind, error.status, error.code, error.request_id) == (ErrorKind.HTTP, status, code, "req_1")
    assert error.message.startswith(f"{status} ")
    assert act.message in error.message


@BOTH
async def test_html_bodies_of_a_proxy_are_kept_as_words(api: str) -> None:
    error, _ = await failure(UNAVAILABLE_PAGE, api)
    assert error.status == 503
    assert error.message.startswith("503 <html>")


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [
        (rate_limited(2.5), 2500, 2500),
        (rate_limited(formatdate(time.time() + 3600, usegmt=True)), 2_000_000, 3_600_000),
        (rate_limited(formatdate(0, usegmt=True)), 0, 0),
        (Refuse(429, "x", "y", headers={"retry-after-ms": "1234", "retry-after": "9"}), 1234, 1234),
    ],
)
async def test_retry_after_is_read_in_seconds_dates_and_milliseconds(header: Refuse, low: int, high: int) -> None:
    error, _ = await failure(header, APIS[0])
    assert error.retry_after_ms is not None
    assert low <= error.retry_after_ms <= high


@pytest.mark.parametrize("value", ["soon", "nan", "inf", "1e400", "Wed, 99 Foo 2026"])
async def test_an_unreadable_retry_after_is_no_retry_after(value: str) -> None:
    error, _ = await failure(rate_limited(value), APIS[1])
    assert error.retry_after_ms is None


@BOTH
@pytest.mark.parametrize(("code", "message"), [("overloaded_error", "Overloaded"), ("rate_limit_error", "slow down")])
async def test_an_error_event_ends_the_reply_it_interrupts(api: str, code: str, message: str) -> None:
    said: list[str] = []
    async with provider_and_client(BreakStream(code, message)) as (provider, client):

        async def listen() -> None:
            async for part in client.stream(endpoint(provider, api), PROMPT, QUICK):
                said.append(part.text if isinstance(part, TextDelta) else "end")  # noqa: PERF401 - it breaks off

        with pytest.raises(ProviderError) as caught:
            await listen()
    assert said
    assert "end" not in said
    assert (caught.value.kind, caught.value.code) == (ErrorKind.IN_STREAM, code)
    assert message in caught.value.message


@pytest.mark.parametrize("number", [502, "429"])
async def test_a_numeric_code_in_a_stream_is_a_status(number: object) -> None:
    body = f'data: {{"error": {{"code": {number!r}, "message": "upstream"}}}}\n\n'.replace("'", '"')
    error, _ = await failure(Raw(body), APIS[1])
    assert error.status == int(str(number))


@BOTH
async def test_a_reply_that_breaks_off_is_not_a_reply(api: str) -> None:
    error, _ = await failure(Respond(cut=2), api)
    assert (error.kind, error.code) == (ErrorKind.TRANSPORT, "ECONNRESET")


@BOTH
async def test_a_chunked_body_that_ends_early_but_properly_is_not_a_reply_either(api: str) -> None:
    error, _ = await failure(Raw(": nothing but a comment\n\n"), api)
    assert (error.kind, error.message) == (ErrorKind.TRANSPORT, "the reply ended early")


@BOTH
@pytest.mark.parametrize("body", ["data: {not json\n\n", 'data: ["list"]\n\n'])
async def test_malformed_events_are_a_protocol_error(api: str, body: str) -> None:
    error, _ = await failure(Raw(body), api)
    assert error.kind is ErrorKind.PROTOCOL


@BOTH
async def test_a_wrong_content_type_is_a_protocol_error_that_names_it(api: str) -> None:
    error, _ = await failure(Raw("<html>login</html>", "text/html"), api)
    assert error.kind is ErrorKind.PROTOCOL
    assert "text/html" in error.message


@BOTH
async def test_an_error_object_with_status_200_is_still_the_providers_error(api: str) -> None:
    error, _ = await failure(Raw('{"error": {"code": "overloaded", "message": "busy"}}', "application/json"), api)
    assert (error.kind, error.code) == (ErrorKind.IN_STREAM, "overloaded")


@BOTH
@pytest.mark.parametrize("text", ["", "  \n "])
async def test_a_complete_reply_without_content_is_empty(api: str, text: str) -> None:
    error, _ = await failure(Respond(text, pieces=1), api)
    assert error.kind is ErrorKind.EMPTY
    assert error.reason == "empty_response"


@BOTH
@pytest.mark.parametrize("where", ["headers", "stream"])
async def test_a_reset_connection_is_a_transport_error(api: str, where: str) -> None:
    error, _ = await failure(Drop(where), api)
    assert (error.kind, error.code) == (ErrorKind.TRANSPORT, "ECONNRESET")


@pytest.mark.parametrize(
    ("act", "timeouts", "phase"),
    [
        (Stall("headers"), Timeouts(first_byte=0.05, idle=9), "first-byte"),
        (Stall("body"), Timeouts(first_byte=0.05, idle=9), "first-byte"),
        (Stall("stream"), Timeouts(first_byte=9, idle=0.05), "idle"),
        (Stall("stream"), Timeouts(first_byte=9, idle=9, total=0.1), "total"),
        (Respond(pause=0.01, bytewise=True), Timeouts(first_byte=9, idle=9, total=0.1), "total"),
        (Stall("headers"), Timeouts(first_byte=9, total=0.05), "total"),
    ],
)
@BOTH
async def test_each_limit_is_its_own(api: str, act: Act, timeouts: Timeouts, phase: str) -> None:
    """The clock moves once the request has arrived, so that a busy machine is not taken for a slow provider."""
    clock = ManualClock()
    async with provider_and_client(act, clock=clock) as (provider, client):
        asking = asyncio.create_task(collect(client, endpoint(provider, api), timeouts))
        await provider.until(lambda requests: len(requests) == 1)
        while not asking.done():
            await clock.advance(0.01)
            await asyncio.sleep(0.001)
        with pytest.raises(ProviderError) as caught:
            await asking
    error = caught.value
    assert (error.kind, error.phase, error.timed_out) == (ErrorKind.TIMEOUT, phase, True)
    assert error.reason == "timeout"


async def test_a_loop_that_was_away_is_no_connect_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process under load comes back after the limit, to a connection that was made meanwhile."""
    connect = 0.2
    traced = CallLimits.on_trace

    async def away(limits: CallLimits, name: str, info: Mapping[str, Any]) -> None:
        if name == "connection.connect_tcp.started":
            time.sleep(2 * connect)
        await traced(limits, name, info)

    monkeypatch.setattr(CallLimits, "on_trace", away)
    async with provider_and_client(Respond("aye")) as (provider, client):
        where = endpoint(provider, "openai-completions")
        text, _ = await collect(client, where, Timeouts(connect=connect, first_byte=60, idle=60, total=None))
    assert text == "aye"


async def test_a_connection_that_never_stands_is_a_connect_timeout() -> None:
    async def hang(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    client = ProviderClient(SystemClock())
    listener = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    try:
        loop = asyncio.get_running_loop()
        loop.create_connection = hang  # type: ignore[method-assign,assignment]
        where = Endpoint("reef", APIS[0], f"http://127.0.0.1:{port}")
        with pytest.raises(ProviderError) as caught:
            await collect(client, where, Timeouts(connect=0.05, first_byte=9))
    finally:
        listener.close()
        await client.aclose()
    assert (caught.value.kind, caught.value.phase) == (ErrorKind.TIMEOUT, "connect")


async def test_a_refused_connection_has_its_errno_name() -> None:
    client = ProviderClient(SystemClock())
    listener = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    listener.close()
    await listener.wait_closed()
    for host in ("127.0.0.1", "localhost"):
        with pytest.raises(ProviderError) as caught:
            await collect(client, Endpoint("reef", APIS[0], f"http://{host}:{port}"))
        assert (caught.value.kind, caught.value.code) == (ErrorKind.TRANSPORT, "ECONNREFUSED")
    await client.aclose()


@BOTH
@pytest.mark.parametrize("base_url", ["not a url", "http://[::1", "ftp://127.0.0.1/v1", ""])
async def test_a_base_url_that_cannot_be_used_is_a_typed_error(api: str, base_url: str) -> None:
    client = ProviderClient(SystemClock())
    with pytest.raises(ProviderError):
        await collect(client, Endpoint("reef", api, base_url))
    await client.aclose()


async def test_an_unknown_api_kind_sends_nothing() -> None:
    client = ProviderClient(SystemClock())
    with pytest.raises(ProviderError, match="carrier-pigeon"):
        await collect(client, Endpoint("reef", "carrier-pigeon", "http://127.0.0.1:9"))


@BOTH
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_the_key_does_not_follow_a_redirect(api: str, status: int) -> None:
    async with ScriptedProvider() as elsewhere:
        redirect = Refuse(status, headers={"location": elsewhere.base_url(api) + "/v1/messages"}, body="")
        error, _ = await failure(redirect, api)
        assert elsewhere.requests == []
    assert error.kind is ErrorKind.PROTOCOL
    assert "not followed" in error.message


@BOTH
async def test_no_proxy_of_the_environment_sees_a_call(api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    async with provider_and_client(Respond("direct")) as (provider, client):
        assert (await collect(client, endpoint(provider, api)))[0] == "direct"


@BOTH
@pytest.mark.parametrize(
    "act",
    [
        Refuse(401, "authentication_error", "Incorrect API key provided: {key}. \x1b[2J[red]"),
        Refuse(400, body="<p>bad key {key}</p>", content_type="text/html"),
        Refuse(302, headers={"location": "http://evil.example/?k={key}"}, body=""),
        BreakStream("invalid_key", "your key {key} is bad"),
        Refuse(500, "{key}", "{key}"),
    ],
)
async def test_a_key_echoed_by_the_provider_is_redacted_everywhere(api: str, act: Act) -> None:
    error, _ = await failure(act, api)
    everything = "\n".join(
        [
            *traceback.format_exception(error),
            *(repr(value) for value in (error, error.args, error.facts(), vars(error))),
            str(error),
        ]
    )
    assert KEY not in everything
    assert "\x1b" not in everything


@BOTH
async def test_an_endpoint_and_a_secret_never_show_the_key(api: str) -> None:
    where = Endpoint("reef", api, "http://127.0.0.1:9", Secret(KEY), headers={"x-other": "hidden-value-77"})
    assert KEY not in repr(where)
    assert KEY not in f"{where.secret} {where.secret!r}"
    assert "hidden-value-77" not in repr(where)
    with pytest.raises(TypeError):
        pickle.dumps(where.secret)


@BOTH
@pytest.mark.parametrize("act", [Stall("headers"), Stall("body"), Stall("stream")])
async def test_cancelling_a_call_closes_its_connection(api: str, act: Act) -> None:
    async with provider_and_client(act) as (provider, client):
        call = asyncio.create_task(collect(client, endpoint(provider, api)))
        await provider.until(lambda requests: len(requests) == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        async with asyncio.timeout(5):
            await provider.until(lambda requests: requests[0].ended is not None)
        assert provider.requests[0].cancelled


async def test_a_line_without_end_is_cut_off_in_bounded_memory() -> None:
    error, _ = await failure(Raw("data: " + "x" * (5 * 1024 * 1024)), APIS[1])
    assert error.kind is ErrorKind.PROTOCOL
    assert "exceeds" in error.message


async def test_a_server_that_keeps_the_connection_after_the_end_does_not_hold_the_reply_back() -> None:
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        writer.write(b'data: {"choices": [{"delta": {"content": "hi"}}]}\n\ndata: [DONE]\n\n')
        await writer.drain()
        await done.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = ProviderClient(SystemClock())
    try:
        where = Endpoint("reef", APIS[1], f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        async with asyncio.timeout(5):
            text, _ = await collect(client, where, Timeouts(idle=60, first_byte=60))
        assert text == "hi"
    finally:
        done.set()
        await client.aclose()
        server.close()


def test_the_output_limit_has_the_name_that_each_host_knows() -> None:
    prompt = Prompt("m", (Message("user", "x"),), max_tokens=9)
    for provider, base_url, name in (
        ("p", "https://api.openai.com/v1", "max_completion_tokens"),
        ("p", "http://127.0.0.1/v1", "max_completion_tokens"),
        ("p", "https://llm.example/v1", "max_completion_tokens"),
        ("p", "https://api.mistral.ai/v1", "max_tokens"),
        ("p", "https://eu.api.moonshot.ai/v1", "max_tokens"),
        ("together", "http://127.0.0.1/v1", "max_tokens"),
        ("p", "https://notapi.mistral.ai.example/v1", "max_completion_tokens"),
    ):
        body = APIS_BY_KIND["openai-completions"].body(Endpoint(provider, "openai-completions", base_url), prompt)
        assert {"max_tokens": body.get("max_tokens"), "max_completion_tokens": body.get("max_completion_tokens")} == {
            "max_tokens": None,
            "max_completion_tokens": None,
            name: 9,
        }
    anthropic = APIS_BY_KIND["anthropic-messages"]
    assert anthropic.body(Endpoint("p", "x", "http://y"), Prompt("m", ()))["max_tokens"] == 4096
