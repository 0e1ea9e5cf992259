"""What clawtop sends is what the providers' own libraries send, and what they read from a stream, clawtop reads.

    pip install -e '.[dev,sdks]' && pytest tests/interop/test_official_sdks.py

Each library is given clawtop's body as its own arguments, and both ask a server that records. A library that is not
installed is a skip that is counted.
"""

from __future__ import annotations

import asyncio
import base64
import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest

from clawtop.clock import SystemClock
from clawtop.engine.providers.base import Endpoint, Prompt, TextDelta
from clawtop.engine.providers.bedrock import SigV4
from clawtop.engine.providers.http import APIS, ProviderClient
from clawtop.store.provider.secrets import Secret
from tests.engine.test_provider_wires import AWS, HISTORY, KEY, QUICK, RESPONSES
from tests.support.wire_server import Asked, Wire, sse, wire_server

pytestmark = [pytest.mark.anyio, pytest.mark.interop]

PROMPT = Prompt("crab-1", HISTORY, system="be brief", max_tokens=99, temperature=0.5)
CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "crab-1"}
CHAT = Wire(
    sse(
        {**CHUNK, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "po"}}]},
        {**CHUNK, "choices": [{"index": 0, "delta": {"content": "ng"}, "finish_reason": "stop"}]},
        {**CHUNK, "choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}},
        "[DONE]",
    )
)
EVENTS: tuple[dict[str, Any], ...] = (
    {"type": "message_start", "message": {"id": "m", "role": "assistant", "content": [], "usage": {"input_tokens": 9}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "pong"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
    {"type": "message_stop"},
)
CLAUDE = Wire(sse(*EVENTS, names=[event["type"] for event in EVENTS]))


def openai_chat(url: str, body: dict[str, Any]) -> str:
    client = _sdk("openai").OpenAI(api_key=KEY, base_url=url)
    chunks = client.chat.completions.create(**body)
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def openai_responses(url: str, body: dict[str, Any]) -> str:
    client = _sdk("openai").OpenAI(api_key=KEY, base_url=url)
    return "".join(
        event.delta for event in client.responses.create(**body) if event.type == "response.output_text.delta"
    )


def anthropic_messages(url: str, body: dict[str, Any]) -> str:
    client = _sdk("anthropic").Anthropic(api_key=KEY, base_url=url)
    known = inspect.signature(client.messages.create).parameters  # the latest has no temperature any more
    more = {name: value for name, value in body.items() if name not in known}
    events = client.messages.create(**{name: body[name] for name in body.keys() & known}, extra_body=more)
    return "".join(event.delta.text for event in events if event.type == "content_block_delta")


def bedrock_converse(url: str, body: dict[str, Any]) -> str:
    client = (
        _sdk("botocore.session")
        .get_session()
        .create_client("bedrock-runtime", region_name="eu-west-1", endpoint_url=url)
    )
    stream = client.converse_stream(modelId="crab-1", **_with_bytes(body))["stream"]
    return "".join(_texts(stream))


def _texts(stream: Any) -> Iterator[str]:
    for event in stream:
        yield event.get("contentBlockDelta", {}).get("delta", {}).get("text", "")


def _sdk(name: str) -> Any:
    return import_module(name)


def _with_bytes(value: Any) -> Any:
    """botocore takes the bytes of an image, and encodes them itself."""
    if isinstance(value, list):
        return [_with_bytes(each) for each in value]
    if isinstance(value, dict):
        return {name: base64.b64decode(each) if name == "bytes" else _with_bytes(each) for name, each in value.items()}
    return value


@pytest.mark.parametrize(
    ("kind", "sdk", "ask", "answer"),
    [
        ("openai-completions", "openai", openai_chat, CHAT),
        ("openai-responses", "openai", openai_responses, Wire(RESPONSES)),
        ("anthropic-messages", "anthropic", anthropic_messages, CLAUDE),
        ("bedrock-converse-stream", "botocore", bedrock_converse, AWS),
    ],
)
async def test_a_library_sends_the_same_and_reads_the_same(
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    sdk: str,
    ask: Callable[[str, dict[str, Any]], str],
    answer: Wire,
) -> None:
    pytest.importorskip(sdk, reason=f"{sdk} is not installed: pip install -e '.[sdks]'")
    credentials: dict[str, Any] = {"secret": Secret(KEY)}
    if sdk == "botocore":  # which sends a bearer key over TLS only: both sign
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY)
        credentials = {"sign": SigV4("eu-west-1", "reef")}
    client = ProviderClient(SystemClock())
    async with wire_server(answer) as server:
        endpoint = Endpoint("reef", kind, server.url, **credentials)
        parts = [part async for part in client.stream(endpoint, PROMPT, QUICK)]
        await client.aclose()
        read = await asyncio.to_thread(ask, server.url, dict(APIS[kind].body(endpoint, PROMPT)))
        ours, theirs = server.asked
    assert read == "".join(part.text for part in parts if isinstance(part, TextDelta)) == "pong"
    assert ours.body == theirs.body
    assert _called(ours) == _called(theirs)


def _called(request: Asked) -> tuple[str, str, tuple[str, ...]]:
    """How it was called, and as whom: a key, in whatever header (Anthropic takes it in two), or who signed."""
    who = (request.headers.get(name, "") for name in ("authorization", "x-api-key"))
    return request.method, request.path, tuple(one.removeprefix("Bearer ").partition(",")[0] for one in who if one)
