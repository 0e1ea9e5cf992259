"""Servers that speak HTTP, or their api, in a way of their own: what of it is a reply, and what is read of the rest.

Each answer goes over a real socket, byte for byte. Each row is an example of a kind.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from typing import Any

import pytest

from clawtop.clock import SystemClock
from clawtop.engine.providers.base import Endpoint, Finished, Message, Prompt, TextDelta, Timeouts
from clawtop.engine.providers.errors import ProviderError
from clawtop.engine.providers.http import ProviderClient

pytestmark = pytest.mark.anyio


def chunk(content: object = None, finish: object = None, **more: object) -> dict[str, Any]:
    delta = {} if content is None else {"content": content}
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


def sse(*events: object) -> bytes:
    texts = (event if isinstance(event, str) else json.dumps(event) for event in events)
    return "".join(f"data: {text}\n\n" for text in texts).encode()


def head(status: str = "200 OK", content_type: str | None = "text/event-stream", **headers: str) -> bytes:
    named = {} if content_type is None else {"content-type": content_type}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def answer(content: object, status: str = "200 OK", content_type: str | None = None, **headers: str) -> bytes:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    kind = content_type or ("text/event-stream" if isinstance(content, bytes) else "application/json")
    return head(status, kind, content_length=str(len(data)), **headers) + data


PONG, STOP = chunk("pong"), chunk(None, "stop")
OK = sse(PONG, STOP, "[DONE]")
CHUNKED = head(transfer_encoding="chunked")
ONE = b"%x\r\n%s\r\n" % (len(OK), OK)

REPLIES: dict[str, bytes] = {
    "100 before": b"HTTP/1.1 100 Continue\r\n\r\n" + answer(OK),
    "102 twice before": b"HTTP/1.1 102 Processing\r\n\r\n" * 2 + answer(OK),
    "103 before": b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + answer(OK),
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\n" + OK,
    "ends with the connection": head() + OK,
    "a chunk with an extension": CHUNKED + b"%x;a=1\r\n%s\r\n0\r\n\r\n" % (len(OK), OK),
    "a trailer": CHUNKED + ONE[:-2] + b"\r\n0\r\nx-sum: 1\r\n\r\n",
    "a broken chunk behind the end": CHUNKED + ONE + b"zz\r\n",
    "cut off behind the end": CHUNKED + b"%x\r\n%s" % (len(OK) + 50, OK),
    "shorter than it said": head(content_length=str(len(OK) + 99)) + OK,
    "longer than it said": answer(OK) + b"and more",
    "gzip unasked": answer(gzip.compress(OK), content_encoding="gzip"),
    "gzip without its end": head(content_encoding="gzip") + gzip.compress(OK)[:-6],
    "raw deflate": answer(zlib.compress(OK)[2:-4], content_encoding="deflate"),
    "an encoding that it has not": answer(OK, content_encoding="br"),
    "an error behind the end": answer(sse(PONG, STOP, {"error": {"message": "billing hook failed"}}, "[DONE]")),
    "done in lower case": answer(sse(PONG, "[done]")),
    "done without brackets": answer(sse(PONG, "DONE")),
    "field names in other letters": answer(OK.replace(b"data:", b"Data:")),
    "blanks before the field": answer(OK.replace(b"data:", b"  data:")),
    "a NUL first": answer(b"\0" + OK),
    "a byte order mark on each": answer(OK.replace(b"data:", b"\xef\xbb\xbfdata:")),
    "framed twice": answer(OK.replace(b"data: ", b"data: data: ")),
    "no blank lines between": answer(OK.replace(b"\n\n", b"\n")),
    "encoded twice": answer(sse(json.dumps(json.dumps(PONG)), json.dumps(json.dumps(STOP)), "[DONE]")),
    "a list in an event": answer(sse(json.dumps([PONG, STOP]), "[DONE]")),
    "in an envelope": answer(sse({"code": 0, "data": PONG}, {"code": 0, "data": STOP}, "[DONE]")),
    "a JSON document in an envelope": answer(
        {"code": 200, "result": {"choices": [{"message": {"content": "pong"}, "finish_reason": "stop"}]}}
    ),
    "a delta of mere text": answer(sse({"choices": [{"index": 0, "delta": "pong"}]}, STOP, "[DONE]")),
    "a good status in it": answer(sse({**PONG, "base_resp": {"status_code": 0, "status_msg": ""}}, STOP, "[DONE]")),
    "JSON one after another": answer((json.dumps(PONG) + json.dumps(STOP)).encode(), content_type="application/json"),
    "JSON sequences": answer(f"\x1e{json.dumps(PONG)}\n\x1e{json.dumps(STOP)}\n".encode()),
}

WHOLE = {"choices": [{"message": {"content": "pong"}, "finish_reason": "stop"}]}
TEXT = json.dumps(WHOLE)


def lines(*values: object) -> bytes:
    return "".join(f"{json.dumps(value)}\n" for value in values).encode()


def named(*events: tuple[str, object]) -> bytes:
    return "".join(f"event: {name}\ndata: {json.dumps(value)}\n\n" for name, value in events).encode()


REPLIES |= {
    "UTF-16 with its mark": answer(OK.decode().encode("utf-16")),
    "UTF-16 without a mark": answer(OK.decode().encode("utf-16-be")),
    "a document in UTF-16": answer(TEXT.encode("utf-16-le"), content_type="application/json; charset=utf-16le"),
    "a document in UTF-32": answer(TEXT.encode("utf-32"), content_type="application/json"),
    "trailing commas": answer(
        OK.replace(b"}", b",}").replace(b"{,}", b"{}").replace(b"]", b",]").replace(b",]\n", b"]\n")
    ),
    "a document with trailing commas": answer(
        b'{\n "choices": [\n  {"message": {"content": "pong",}, "finish_reason": "stop",},\n ],\n}\n'
    ),
    "what Python prints for a dict": answer(f"data: {PONG}\n\ndata: {STOP}\n\ndata: [DONE]\n\n".encode()),
    "a tab inside of a string": answer(sse({**PONG, "note": "a-b"}, STOP).replace(b"a-b", b"a\tb")),
    "done in quotes": answer(sse(PONG, '"[DONE]"')),
    "done as an object": answer(sse(PONG, {"done": True})),
    "done as an event": answer(sse(PONG) + b"event: done\ndata: {}\n\n"),
    "a reason that is none yet": answer(sse(chunk("po", "null"), chunk("ng", "null"), STOP, "[DONE]")),
    "a reason in other letters": answer(sse(PONG, {"choices": [{"delta": {}, "finishReason": "stop"}]})),
    "a document without a reason": answer({"choices": [{"message": {"content": "pong"}, "finish_reason": None}]}),
    "Ollama's generate": answer(
        lines({"response": "po", "done": False}, {"response": "ng", "done": False}, {"response": "", "done": True})
    ),
    "Ollama's generate at once": answer({"model": "m", "response": "pong", "done": True, "done_reason": "stop"}),
    "Ollama's chat": answer(
        lines({"message": {"content": "pong"}, "done": False}, {"message": {"content": ""}, "done": True})
    ),
    "Workers AI": answer(sse({"response": "po", "p": "abc"}, {"response": "ng", "p": "a"}, "[DONE]")),
    "Workers AI at once": answer({"result": {"response": "pong"}, "success": True, "errors": [], "messages": []}),
    "TGI": answer(
        sse(
            {"token": {"text": "pong", "special": False}, "generated_text": None},
            {"token": {"text": "</s>", "special": True}, "generated_text": "pong", "details": {"finish_reason": "eos"}},
        )
    ),
    "TGI at once": answer([{"generated_text": "pong"}]),
    "llama.cpp's completion": answer(
        sse({"content": "po", "stop": False}, {"content": "ng", "stop": False}, {"content": "", "stop": True})
    ),
    "llama.cpp's completion at once": answer({"content": "pong", "stop": True, "stop_type": "eos"}),
    "KoboldAI": answer(named(("message", {"token": "po"}), ("message", {"token": "ng", "finish_reason": "stop"}))),
    "KoboldAI at once": answer({"results": [{"text": "pong"}]}),
    "DashScope, all of it each time": answer(
        sse(
            {"output": {"text": "po", "finish_reason": "null"}, "usage": {"output_tokens": 1}},
            {"output": {"text": "pong", "finish_reason": "stop"}, "usage": {"output_tokens": 2}},
        )
    ),
    "DashScope with choices": answer({"output": WHOLE, "usage": {"output_tokens": 2}}),
    "FastChat": answer(
        b'{"text": "po", "error_code": 0}\0{"text": "pong", "error_code": 0, "finish_reason": "stop"}\0'
    ),
    "Anthropic's events": answer(
        named(
            ("message_start", {"type": "message_start", "message": {"role": "assistant", "content": []}}),
            ("content_block_delta", {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "pong"}}),
            ("message_stop", {"type": "message_stop"}),
        )
    ),
    "OpenAI's newer events": answer(
        sse(
            {"type": "response.output_text.delta", "delta": "pong"},
            {"type": "response.completed", "response": {"status": "completed"}},
        )
    ),
    "Gemini's document": answer({"candidates": [{"content": {"parts": [{"text": "pong"}]}, "finishReason": "STOP"}]}),
}

FAILURES: dict[str, tuple[bytes, str, str]] = {
    "101": (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n", "network", "UPGRADE"),
    "HTTP/2 at once": (b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\x04\0\0\xff\xff", "network", "ProtocolError"),
    "another protocol": (b"SSH-2.0-OpenSSH_9.2\r\n", "network", "ProtocolError"),
    "a TLS alert": (b"\x15\x03\x01\0\x02\x02\x50", "network", "ProtocolError"),
    "nothing": (b"", "network", "disconnected"),
    "half a head": (b"HTTP/1.1 200 OK\r\n", "network", "disconnected"),
    "a broken chunk": (CHUNKED + b"%x\r\n%s\r\nzz\r\n" % (len(sse(PONG)), sse(PONG)), "network", "chunk"),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", "network", "ended early"),
    "an empty body": (answer(b""), "network", "ended early"),
    "blank lines": (answer(b"\n\n\n"), "network", "ended early"),
    "gzip that is none": (answer(OK, content_encoding="gzip"), "network", "Decoding"),
    "429 in gzip": (
        answer(gzip.compress(b'{"error":{"message":"Rate limit reached"}}'), "429 x", content_encoding="gzip"),
        "rate_limit",
        "Rate limit reached",
    ),
    "429 in gzip that is none": (answer(b"{}", "429 x", content_encoding="gzip"), "rate_limit", "429"),
    "429 without a body": (b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n", "rate_limit", "429"),
    "words of a proxy": (
        answer(b"upstream connect error: overflow", content_type="text/plain"),
        "server_error",
        "upst",
    ),
    "a page without a type": (head(content_type=None) + b"<html>Bad gateway</html>", "server_error", "Bad gateway"),
    "XML": (answer(b"<Error><Code>Oops</Code></Error>", content_type="application/xml"), "server_error", "Oops"),
    "a code and words": (answer({"code": 1302, "msg": "Rate limit reached for requests"}), "rate_limit", "Rate limit"),
    "no success": (answer({"success": False, "message": "Invalid API key"}), "auth", "Invalid API key"),
    "mere words": (answer({"message": "Endpoint request timed out"}), "server_error", "timed out"),
    "a status of its own": (answer({"statusCode": 429, "message": "Try again in 5 seconds."}), "rate_limit", "429"),
    "a bad status in it": (
        answer({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}, "choices": None}),
        "billing",
        "balance",
    ),
    "an error in plain words": (
        answer(b"data: error: upstream timed out\n\ndata: [DONE]\n\n"),
        "server_error",
        "timed",
    ),
    "an error in brackets": (answer(b"data: [ERROR] Rate limit exceeded\n\n"), "rate_limit", "Rate limit"),
    "403 of money": (answer({"error": {"message": "Insufficient funds"}}, "403 x"), "billing", "funds"),
    "403 of a quota": (
        answer({"error": {"message": "Quota exceeded for quota metric 'Requests'"}}, "403 x"),
        "rate_limit",
        "Quota",
    ),
    "403 of S3": (answer(b"<Error><Code>SlowDown</Code></Error>", "403 x"), "rate_limit", "SlowDown"),
    "401 of a limit": (answer({"error": {"message": "Rate limit exceeded"}}, "401 x"), "rate_limit", "Rate limit"),
    "half of a plain stream": (answer(sse({"response": "po", "p": "abc"})), "network", "ended early"),
    "one piece that says it is none": (answer({"response": "po", "done": False}), "network", "ended early"),
    "one delta": (answer(chunk("po")), "network", "ended early"),
    "half of a document": (answer(TEXT[:-9].encode(), content_type="application/json"), "server_error", "no event"),
    "broken off by the server": (answer(sse(chunk("po"), chunk(None, "abort"), "[DONE]")), "server_error", "error"),
    "an error that Python printed": (
        answer(b"data: {'error': {'message': 'no', 'code': 503}}\n\n"),
        "server_error",
        "no",
    ),
    "an error in UTF-16": (
        answer(json.dumps({"error": "quota exhausted"}).encode("utf-16"), "429 x"),
        "rate_limit",
        "429 q",
    ),
    "an error with a trailing comma": (answer(b'{"error": {"message": "slow",},}', "429 x"), "rate_limit", "429 slow"),
    "a list of errors": (answer({"success": False, "error": [{"message": "Set up"}]}, "400 x"), "format", "400 Set up"),
    "errors as words": (answer({"errors": ["Rate limit exceeded"]}), "rate_limit", "Rate"),
    "a fault": (
        answer({"fault": {"faultstring": "Quota limit exceeded", "detail": {"errorcode": "QuotaViolation"}}}, "429 x"),
        "rate_limit",
        "429 Quota",
    ),
    "a problem with its status": (answer({"title": "x", "status": 429, "detail": "slow down"}), "rate_limit", "slow"),
    "an error code beside words": (answer({"text": "NETWORK ERROR", "error_code": 50001}), "server_error", "NETWORK"),
    "an endpoint that it has not": (answer({"error": "Unexpected endpoint or method."}), "model_not_found", "endpoint"),
    "a model that crashed": (
        answer(named(("error", {"error": {"message": "The model has crashed"}}))),
        "server_error",
        "cr",
    ),
    "421": (answer({"error": "wrong host"}, "421 x"), "server_error", "wrong host"),
    "424": (answer({"error": "Request failed during generation"}, "424 x"), "server_error", "generation"),
    "426": (answer({"error": "use h2"}, "426 x"), "server_error", "h2"),
    "444": (answer(b"", "444 x"), "server_error", "444"),
}


async def asked(sent: bytes) -> str:
    """What the client makes of a server that answers with these bytes and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        await reader.readexactly(int(next(line for line in lines if line.startswith(b"content-length"))[15:]))
        writer.write(sent)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = ProviderClient(SystemClock())
    endpoint = Endpoint("acme", "openai-completions", f"http://127.0.0.1:{port}/v1")
    prompt = Prompt("m", (Message("user", "ping"),))
    said = ""
    try:
        async for part in client.stream(endpoint, prompt, Timeouts(connect=30, first_byte=30, idle=30, total=60)):
            if isinstance(part, TextDelta):
                said += part.text
            elif isinstance(part, Finished):
                said += f" ({part.stop_reason})"
    finally:
        await client.aclose()
        server.close()
    return said


@pytest.mark.parametrize("name", REPLIES)
async def test_a_reply_is_taken_however_it_comes(name: str) -> None:
    assert await asked(REPLIES[name]) == "pong (stop)"


@pytest.mark.parametrize("name", FAILURES)
async def test_a_failure_is_read_for_what_it_is(name: str) -> None:
    sent, reason, words = FAILURES[name]
    with pytest.raises(ProviderError) as raised:
        await asked(sent)
    assert (raised.value.reason.value, words in raised.value.message) == (reason, True), raised.value.message
