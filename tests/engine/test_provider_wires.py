"""Each api kind over a real socket: where it posts, how it authenticates, what it sends, how its replies are read."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import Any

import pytest

from clawtop.clock import SystemClock
from clawtop.core.model import FailureReason
from clawtop.engine.providers import copilot
from clawtop.engine.providers.base import (
    Endpoint,
    Finished,
    Image,
    Message,
    Prompt,
    Text,
    TextDelta,
    Timeouts,
    ToolCall,
    ToolResult,
)
from clawtop.engine.providers.errors import ErrorKind, ProviderError
from clawtop.engine.providers.http import ProviderClient
from clawtop.store.provider.secrets import Secret
from tests.support.wire_server import Asked, Wire, json_lines, sse, wire_server

pytestmark = pytest.mark.anyio

KEY = "sk-lobster-0123456789abcdef"
QUICK = Timeouts(connect=5, first_byte=10, idle=10, total=20)
PIXEL = base64.b64encode(b"\x89PNG").decode()
HISTORY = (
    Message("user", (Text("look"), Image("image/png", PIXEL))),
    Message("assistant", (Text("I look."), ToolCall("call_1", "read", {"path": "/reef"}))),
    Message("user", (ToolResult("call_1", "read", "a crab"),)),
    Message("assistant", "A crab."),
    Message("user", "and now?"),
)
PROMPT = Prompt("crab-1", HISTORY, system="be brief", max_tokens=99, temperature=0.5, thinking="high", session_id="s-1")


async def asked(
    api: str, answer: Wire, prompt: Prompt = PROMPT, path: str = "", **more: Any
) -> tuple[str, Finished, Asked]:
    client = ProviderClient(SystemClock())
    async with wire_server(answer) as server:
        endpoint = Endpoint("reef", api, server.url + path, **{"secret": Secret(KEY), **more})
        try:
            parts = [part async for part in client.stream(endpoint, prompt, QUICK)]
        finally:
            await client.aclose()
        assert len(server.asked) == 1
        end = parts[-1]
        assert isinstance(end, Finished)
        return "".join(part.text for part in parts if isinstance(part, TextDelta)), end, server.asked[0]


async def refused(api: str, answer: Wire, **more: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await asked(api, answer, **more)
    return caught.value


def tokens(end: Finished) -> tuple[int, int, int, int]:
    return end.usage.input, end.usage.output, end.usage.cache_read, end.usage.cache_write


# --- the replies, as the providers' own documentation and SDKs record them ------------------------------------------

RESPONSES = sse(
    {"type": "response.created", "response": {"id": "resp_1", "model": "crab-1-2026", "status": "in_progress"}},
    {"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "id": "rs_1"}},
    {"type": "response.reasoning_summary_text.delta", "delta": "hm"},
    {"type": "response.output_item.added", "output_index": 1, "item": {"type": "message", "id": "msg_1"}},
    {"type": "response.output_text.delta", "item_id": "msg_1", "delta": "po"},
    {"type": "response.output_text.delta", "item_id": "msg_1", "delta": "ng"},
    {"type": "response.output_text.done", "item_id": "msg_1", "text": "pong"},
    {
        "type": "response.completed",
        "response": {
            "id": "resp_1",
            "model": "crab-1-2026",
            "status": "completed",
            "output": [{"type": "message", "content": [{"type": "output_text", "text": "pong"}]}],
            "usage": {"input_tokens": 20, "input_tokens_details": {"cached_tokens": 8}, "output_tokens": 3},
        },
    },
)
GEMINI = sse(
    {"candidates": [{"content": {"role": "model", "parts": [{"text": "hm", "thought": True}]}, "index": 0}]},
    {"candidates": [{"content": {"role": "model", "parts": [{"text": "po"}]}, "index": 0}], "responseId": "g1"},
    {
        "candidates": [{"content": {"parts": [{"text": "ng"}]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {
            "promptTokenCount": 20,
            "cachedContentTokenCount": 8,
            "candidatesTokenCount": 2,
            "thoughtsTokenCount": 1,
        },
        "modelVersion": "crab-1-2026",
        "responseId": "g1",
    },
)
OLLAMA = json_lines(
    {"model": "crab-1", "message": {"role": "assistant", "content": "", "thinking": "hm"}, "done": False},
    {"model": "crab-1", "message": {"role": "assistant", "content": "po"}, "done": False},
    {"model": "crab-1", "message": {"role": "assistant", "content": "ng"}, "done": False},
    {
        "model": "crab-1",
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 12,
        "eval_count": 3,
    },
)


def eventstream(*events: tuple[str, object], kind: str = "event") -> bytes:
    """AWS's binary framing, made from its description: prelude, text headers, payload, checksums."""
    out = b""
    for name, payload in events:
        headers = b""
        for header, value in ((f":{kind}-type", name), (":content-type", "application/json"), (":message-type", kind)):
            headers += bytes([len(header)]) + header.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        body = json.dumps(payload).encode()
        prelude = struct.pack(">II", 12 + len(headers) + len(body) + 4, len(headers))
        message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + body
        out += message + struct.pack(">I", zlib.crc32(message))
    return out


BEDROCK = eventstream(
    ("messageStart", {"role": "assistant"}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "hm"}}}),
    ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "po"}}),
    ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "ng"}}),
    ("contentBlockStop", {"contentBlockIndex": 1}),
    ("messageStop", {"stopReason": "end_turn"}),
    ("metadata", {"usage": {"inputTokens": 12, "outputTokens": 3, "cacheReadInputTokens": 8}, "metrics": {}}),
)
AWS = Wire(BEDROCK, headers=(("content-type", "application/vnd.amazon.eventstream"),))
NDJSON = Wire(OLLAMA, headers=(("content-type", "application/x-ndjson"),))


@pytest.mark.parametrize(
    ("api", "answer", "path", "posted", "header", "counts"),
    [
        ("openai-responses", Wire(RESPONSES), "/v1", "/v1/responses", "authorization", (12, 3, 8, 0)),
        (
            "azure-openai-responses",
            Wire(RESPONSES),
            "/openai/v1",
            "/openai/v1/responses?api-version=v1",
            "api-key",
            None,
        ),
        (
            "openai-codex-responses",
            Wire(RESPONSES),
            "/backend-api",
            "/backend-api/responses",
            "authorization",
            None,
        ),
        (
            "google-generative-ai",
            Wire(GEMINI),
            "/v1beta",
            "/v1beta/models/crab-1:streamGenerateContent?alt=sse",
            "x-goog-api-key",
            (12, 3, 8, 0),
        ),
        (
            "google-vertex",
            Wire(GEMINI),
            "",
            "/v1/publishers/google/models/crab-1:streamGenerateContent?alt=sse",
            "x-goog-api-key",
            None,
        ),
        ("ollama", NDJSON, "/v1", "/api/chat", "authorization", (12, 3, 0, 0)),
        ("bedrock-converse-stream", AWS, "", "/model/crab-1/converse-stream", "authorization", (12, 3, 8, 0)),
    ],
)
async def test_each_api_is_asked_in_its_way_and_its_reply_read(  # noqa: PLR0917
    api: str, answer: Wire, path: str, posted: str, header: str, counts: tuple[int, int, int, int] | None
) -> None:
    text, end, request = await asked(api, answer, path=path)
    assert (text, end.stop_reason) == ("pong", "stop")
    assert (request.method, request.path) == ("POST", posted)
    assert KEY in request.headers[header]
    assert sum(KEY in value for value in request.headers.values()) == 1
    if counts is not None:
        assert tokens(end) == counts
    sent = json.dumps(request.body)
    for piece in ("be brief", "look", PIXEL, "I look.", "/reef", "a crab", "and now?", "read"):
        assert piece in sent
    assert "99" in sent
    assert "0.5" in sent


async def test_a_chatgpt_login_names_its_account() -> None:
    claims = base64.urlsafe_b64encode(
        json.dumps({"https://api.openai.com/auth": {"chatgpt_account_id": "acc-7"}}).encode()
    ).decode()
    login: dict[str, Any] = {"secret": Secret(f"h.{claims.rstrip('=')}.s"), "credential_type": "oauth"}
    _, _, request = await asked("openai-codex-responses", Wire(RESPONSES), path="/backend-api", **login)
    assert request.headers["chatgpt-account-id"] == "acc-7"
    assert request.body["instructions"] == "be brief"
    assert request.body["store"] is False


@pytest.mark.parametrize(
    ("api", "answer"),
    [
        (
            "anthropic-messages",
            sse(
                {"type": "message_start", "message": {"id": "m"}},
                {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
                {"type": "message_stop"},
            ),
        ),
        ("openai-responses", RESPONSES),
    ],
)
async def test_tools_of_the_history_are_declared_and_none_is_to_be_called(api: str, answer: bytes) -> None:
    plain = sse(
        {"type": "message_start", "message": {"id": "m"}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "pong"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_stop"},
    )
    _, _, request = await asked(api, Wire(plain if api == "anthropic-messages" else answer))
    assert [tool["name"] for tool in request.body["tools"]] == ["read"]
    assert "none" in json.dumps(request.body["tool_choice"])


@pytest.mark.parametrize(
    ("api", "body", "headers", "reason"),
    [
        (
            "openai-responses",
            sse(
                {
                    "type": "response.failed",
                    "response": {
                        "status": "failed",
                        "error": {"code": "rate_limit_exceeded", "message": "Rate limit reached"},
                    },
                }
            ),
            (),
            FailureReason.RATE_LIMIT,
        ),
        (
            "openai-responses",
            sse({"type": "error", "code": "server_error", "message": "The server had an error"}),
            (),
            FailureReason.SERVER_ERROR,
        ),
        (
            "google-generative-ai",
            json.dumps(
                [{"error": {"code": 429, "message": "Resource has been exhausted", "status": "RESOURCE_EXHAUSTED"}}]
            ).encode(),
            (("content-type", "application/json"),),
            FailureReason.RATE_LIMIT,
        ),
        ("google-generative-ai", sse({"promptFeedback": {"blockReason": "SAFETY"}}), (), FailureReason.MODERATION),
        (
            "google-generative-ai",
            sse({"candidates": [{"finishReason": "SAFETY", "index": 0}]}),
            (),
            FailureReason.MODERATION,
        ),
        (
            "ollama",
            json_lines({"error": "model 'crab-1' not found"}),
            (("content-type", "application/x-ndjson"),),
            FailureReason.MODEL_NOT_FOUND,
        ),
        (
            "bedrock-converse-stream",
            eventstream(("throttlingException", {"message": "Too many requests"}), kind="exception"),
            (),
            FailureReason.RATE_LIMIT,
        ),
        (
            "bedrock-converse-stream",
            eventstream(("internalServerException", {"message": "boom"}), kind="exception"),
            (),
            FailureReason.SERVER_ERROR,
        ),
        ("bedrock-converse-stream", BEDROCK[:-3], (), None),
        ("bedrock-converse-stream", BEDROCK[:120] + b"\xff" + BEDROCK[121:], (), FailureReason.SERVER_ERROR),
    ],
)
async def test_errors_inside_of_a_reply_have_their_true_class(
    api: str, body: bytes, headers: tuple[tuple[str, str], ...], reason: FailureReason | None
) -> None:
    if reason is None:
        text, _, _ = await asked(api, Wire(body))
        assert text == "pong"  # its end had come; what broke off is only the usage
        return
    error = await refused(api, Wire(body, headers=headers or (("content-type", "text/event-stream"),)))
    assert error.reason is reason


@pytest.mark.parametrize(
    ("item", "tool"),
    [
        ({"type": "apply_patch_call"}, "apply_patch_call"),
        ({"type": "local_shell_call", "action": {"type": "exec"}}, "local_shell_call"),
        ({"type": "mcp_approval_request", "name": "create_short_url"}, "create_short_url"),
        ({"type": "custom_tool_call", "name": "write_sql"}, "write_sql"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_response_that_waits_for_the_client_asked_for_tools(item: dict[str, object], tool: str) -> None:
    done = {"type": "response.completed", "response": {"status": "completed", "output": [item]}}
    error = await refused("openai-responses", Wire(sse({"type": "response.output_item.added", "item": item}, done)))
    assert (error.kind, tool in str(error)) == (ErrorKind.TOOLS, True)


@pytest.mark.parametrize("kind", ["shell_call", "web_search_call", "code_interpreter_call"])
async def test_a_call_that_the_server_ran_leaves_an_answer_that_ends(kind: str) -> None:
    message = {"type": "message", "content": [{"type": "output_text", "text": "pong"}]}
    done = {"type": "response.completed", "response": {"status": "completed", "output": [{"type": kind}, message]}}
    added = {"type": "response.output_item.added", "item": {"type": kind}}
    text, end, _ = await asked("openai-responses", Wire(sse(added, done)))
    assert (text, end.stop_reason, end.tool_calls) == ("pong", "stop", ())


async def test_an_incomplete_response_says_why() -> None:
    body = sse(
        {"type": "response.output_text.delta", "delta": "po"},
        {
            "type": "response.incomplete",
            "response": {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
        },
    )
    text, end, _ = await asked("openai-responses", Wire(body))
    assert (text, end.stop_reason) == ("po", "length")


async def test_vertex_without_an_express_key_says_what_it_needs_and_sends_nothing() -> None:
    client = ProviderClient(SystemClock())
    async with wire_server(Wire()) as server:
        endpoint = Endpoint("google-vertex", "google-vertex", server.url)
        with pytest.raises(ProviderError, match="express") as caught:
            async for _ in client.stream(endpoint, PROMPT, QUICK):
                pass
        assert server.asked == []
    await client.aclose()
    assert caught.value.kind is ErrorKind.CREDENTIAL


# --- GitHub Copilot ------------------------------------------------------------------------------------------------


async def test_the_copilot_token_is_exchanged_at_one_address_and_goes_to_the_host_it_names() -> None:
    body = json.dumps({"token": "tid=1;exp=2;proxy-ep=proxy.business.githubcopilot.com", "expires_at": 4_000_000_000})
    client = ProviderClient(SystemClock())
    async with wire_server(Wire(body.encode(), headers=(("content-type", "application/json"),))) as server:
        endpoint = Endpoint("github-copilot", "openai-completions", "https://builtin", Secret(KEY))
        token = await copilot.exchanged(endpoint, client.fetch, 0, url=server.url + "/copilot_internal/v2/token")
    await client.aclose()
    (request,) = server.asked
    assert request.headers["authorization"] == f"Bearer {KEY}"
    ready = copilot.with_token(endpoint, token, "https://builtin")
    assert ready.base_url == "https://api.business.githubcopilot.com"
    assert ready.secret is not None
    assert KEY not in ready.secret.reveal()
    assert token.is_fresh(0)


GITHUB_USER = {"login": "lobster", "endpoints": {"api": "https://api.business.githubcopilot.com"}}


@pytest.mark.parametrize(
    ("said", "host"),
    [(GITHUB_USER, "api.business.githubcopilot.com"), ({"login": "lobster"}, copilot.DEFAULT_HOST)],
)
async def test_the_copilot_host_of_a_user_gets_the_github_token_itself(said: dict[str, Any], host: str) -> None:
    client = ProviderClient(SystemClock())
    answer = Wire(json.dumps(said).encode(), headers=(("content-type", "application/json"),))
    async with wire_server(answer) as server:
        endpoint = Endpoint("github-copilot", "openai-completions", "https://builtin", Secret(KEY))
        token = await copilot.located(endpoint, client.fetch, 0, url=server.url + "/copilot_internal/user")
    await client.aclose()
    (request,) = server.asked
    assert (request.path, request.headers["authorization"]) == ("/copilot_internal/user", f"Bearer {KEY}")
    ready = copilot.with_token(endpoint, token, "https://builtin")
    assert (ready.base_url, ready.secret, token.is_fresh(0)) == (f"https://{host}", endpoint.secret, True)


@pytest.mark.parametrize(
    "api",
    [
        "http://api.githubcopilot.com",
        "https://githubcopilot.com.evil.example",
        "https://evil.example/api.githubcopilot.com",
        "https://api.githubcopilot.com:8443",
        "https://api.githubcopilot.com@evil.example",
    ],
)
async def test_github_names_no_other_host_than_its_own_for_its_token(api: str) -> None:
    client = ProviderClient(SystemClock())
    answer = Wire(json.dumps({"endpoints": {"api": api}}).encode(), headers=(("content-type", "application/json"),))
    async with wire_server(answer) as server:
        endpoint = Endpoint("github-copilot", "openai-completions", "https://builtin", Secret(KEY))
        with pytest.raises(ProviderError, match="not its own"):
            await copilot.located(endpoint, client.fetch, 0, url=server.url)
    await client.aclose()


@pytest.mark.parametrize("host", ["evil.example", "githubcopilot.com.evil.example", "evilgithubcopilot.com/x"])
def test_a_copilot_token_leads_to_no_other_host_than_githubs(host: str) -> None:
    assert copilot.token_from(f"tid=1;proxy-ep={host}", 4_000_000_000).host == copilot.DEFAULT_HOST


async def test_a_refused_exchange_is_the_accounts_failure() -> None:
    client = ProviderClient(SystemClock())
    answer = Wire(b'{"message":"Bad credentials"}', status=401, headers=(("content-type", "application/json"),))
    async with wire_server(answer) as server:
        endpoint = Endpoint("github-copilot", "openai-completions", "https://builtin", Secret(KEY))
        with pytest.raises(ProviderError) as caught:
            await copilot.exchanged(endpoint, client.fetch, 0, url=server.url)
    await client.aclose()
    assert caught.value.reason is FailureReason.AUTH
