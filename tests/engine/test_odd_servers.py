"""Servers that speak HTTP, or their api, in a way of their own: what of it is a reply, and what is read of the rest.

Each answer goes over a real socket, byte for byte. Each row is an example of a kind.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from contextlib import suppress
from typing import Any

import pytest

from clawtop.clock import SystemClock
from clawtop.engine.providers import encoding, http
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
    "an encoding that it has not": answer(OK, content_encoding="dcb"),
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

P, S = json.dumps(PONG), json.dumps(STOP)


def delta(value: object) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": value}]}


def ended(reason: object) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}


REPLIES |= {
    "comments in a document": answer(
        b'{ // the reply\n "choices": [{"message": {"content": "pong"}, "finish_reason": "stop"}], /* end */\n}\n'
    ),
    "comments in events": answer(
        b'data: {"choices": [{"delta": {"content": "pong"}, /* 1 */}], "see": "http://x/*y*/"}\n\n' + sse(STOP)
    ),
    "choices as an object": answer(
        sse({"choices": {"delta": {"content": "pong"}}}, {"choices": {"delta": {}, "finish_reason": "stop"}})
    ),
    "choices by number": answer({"choices": {"0": {"message": {"content": "pong"}, "finish_reason": "stop"}}}),
    "one choice": answer({"choice": {"message": {"content": "pong"}, "finish_reason": "stop"}}),
    "choices in a list": answer(sse({"choices": [[{"delta": {"content": "pong"}}]]}, STOP)),
    "deltas in a list": answer(sse(delta([{"content": "po"}, {"content": "ng"}]), STOP)),
    "parts in a delta": answer(sse(delta([{"type": "text", "text": "pong"}]), STOP)),
    "messages": answer({"choices": [{"messages": [{"sender_type": "BOT", "text": "pong"}], "finish_reason": "stop"}]}),
    "Gemini's parts in a message": answer(
        {"choices": [{"message": {"content": {"parts": ["pong"]}}, "finish_reason": "stop"}]}
    ),
    "a number as an index": answer(sse({"choices": [{"index": "0", "delta": {"content": "pong"}}]}, STOP)),
    "no index": answer(sse({"choices": [{"index": None, "delta": {"content": "pong"}}]}, STOP)),
    "a number as a reason": answer(sse(PONG, ended(1))),
    "yes as a reason": answer(sse(PONG, ended(True))),
    "an object as a reason": answer(sse(PONG, ended({"type": "stop"}))),
    "a reason twice": answer(sse(PONG, STOP, STOP, "[DONE]")),
    "a reason with each piece": answer(sse(chunk("po", "stop"), chunk("ng", "stop"), "[DONE]")),
    "text behind the reason": answer(sse(chunk("po"), STOP, chunk("ng"), "[DONE]")),
    "usage behind the reason": answer(sse(PONG, STOP, {"choices": [], "usage": {"prompt_tokens": 1}}, "[DONE]")),
    "a role alone": answer(
        sse(delta({"role": "assistant"}), delta({"role": "assistant", "content": None}), PONG, STOP)
    ),
    "no tools": answer(sse(delta({"content": "pong", "tool_calls": [None], "function_call": None}), STOP)),
    "a tool without an index": answer(
        sse(PONG, delta({"tool_calls": [{"index": None, "function": {"name": "f"}}]}), STOP)
    ),
    "errors that are none": answer(
        sse({**PONG, "error": None, "errors": []}, {**STOP, "error": {}, "code": 0}, {**STOP, "error": ""})
    ),
    "a success in words": answer(sse({**PONG, "code": "success", "message": "ok"}, STOP)),
    "events in one line": answer(f"data: {P}data: {S}data: [DONE]\n\n".encode()),
    "values in one event": answer(f"data: {P}{S}\n\n".encode()),
    "done behind the last value": answer(f"data: {P}\n\ndata: {S}[DONE]\n\n".encode()),
    "line ends that were escaped": answer(f"data: {P}\\n\\ndata: {S}\\n\\n".encode()),
    "an answer of a cloud function": answer({"statusCode": 200, "headers": {}, "body": TEXT}),
    "gzip without a label": answer(gzip.compress(OK)),
    "x-gzip": answer(gzip.compress(OK), content_encoding="x-gzip"),
    "gzip in members": answer(gzip.compress(sse(PONG)) + gzip.compress(sse(STOP)), content_encoding="gzip"),
    "gzip twice": answer(gzip.compress(gzip.compress(OK)), content_encoding="gzip, gzip"),
    "a label of gzip alone": answer(OK, content_encoding="gzip"),
    "zlib as deflate": answer(zlib.compress(OK), content_encoding="deflate"),
    "complete in a chunk without an end": CHUNKED + b"%x\r\n%s\r\n" % (len(sse(PONG, STOP)), sse(PONG, STOP)),
    "Cohere, first version": answer(
        lines(
            {"event_type": "text-generation", "text": "pong"}, {"event_type": "stream-end", "finish_reason": "COMPLETE"}
        )
    ),
    "Cohere, second version": answer(
        sse(
            {"type": "message-start", "delta": {"message": {"role": "assistant"}}},
            {"type": "content-delta", "delta": {"message": {"content": {"text": "pong"}}}},
            {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}},
        )
    ),
    "Cohere's document": answer(
        {"message": {"content": [{"type": "text", "text": "pong"}]}, "finish_reason": "COMPLETE"}
    ),
    "watsonx": answer({"results": [{"generated_text": "pong", "stop_reason": "eos_token"}]}),
    "Qianfan": answer(sse({"result": "po", "is_end": False}, {"result": "ng", "is_end": True})),
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
    "gzip with a fault": (answer(gzip.compress(OK)[:10] + b"\xff" * 40), "network", "decompressed"),
    "a compression that nobody asked for": (
        answer(b"\x0b\x02\x80pong\x03", content_encoding="dcb"),
        "server_error",
        "compressed as dcb",
    ),
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


def said(words: str, status: int = 400, **headers: str) -> bytes:
    return answer({"error": {"message": words}}, f"{status} x", **headers)


FAILURES |= {
    "a number as an error": (answer(sse({"error": 503})), "server_error", "503"),
    "errors in a list": (answer(sse({"error": [{"message": "slow down", "code": 429}]})), "rate_limit", "429 slow"),
    "an error that is true": (answer(sse({"error": True, "message": "quota exceeded"})), "rate_limit", "quota"),
    "an error between the events": (
        answer(f'data: {P}\n\n{{"error": {{"message": "no", "code": 429}}}}\n'.encode()),
        "rate_limit",
        "429 no",
    ),
    "an error inside of an event": (
        answer(sse(PONG) + b'data: {"choices":[{"del\n' + sse({"error": {"message": "no", "type": "upstream_error"}})),
        "server_error",
        "upstream_error",
    ),
    "words between the events": (answer(sse(PONG) + b"Internal Server Error"), "network", "early: Internal Server"),
    "a page between the events": (answer(sse(PONG) + b"<h1>504 Gateway Time-out</h1>"), "network", "504 Gateway"),
    "a limit of a cloud function": (
        answer({"statusCode": 429, "body": '{"error": {"message": "slow"}}'}),
        "rate_limit",
        "429 slow",
    ),
    "an error in details": (
        answer({"detail": {"error": {"message": "Out of credits"}}}, "402 x"),
        "billing",
        "402 Out",
    ),
    "a limit of Spark": (answer({"code": 11202, "message": "AppIdQpsOverFlow"}), "rate_limit", "AppIdQps"),
    "a filter of MiniMax": (
        answer({"base_resp": {"status_code": 1027, "status_msg": "output sensitive"}}),
        "moderation",
        "sensitive",
    ),
    "a login of MiniMax": (
        answer({"base_resp": {"status_code": 1004, "status_msg": "login fail: carry the key"}}),
        "auth",
        "login",
    ),
    "Zhipu's limit": (said("您的账户已达到速率限制，请您控制请求频率", 429), "rate_limit", "速率限制"),
    "Zhipu's balance": (said("余额不足或无可用资源包,请充值。", 429), "billing", "余额不足"),
    "Zhipu's filter": (said("系统检测到输入或生成内容可能包含不安全或敏感内容"), "moderation", "敏感内容"),
    "a free tier": (said("The free tier of the model has been exhausted.", 403), "billing", "free tier"),
    "Moonshot's balance": (
        answer(
            {
                "error": {
                    "type": "exceeded_current_quota_error",
                    "message": "Your account is suspended, check your plan",
                }
            },
            "429 x",
        ),
        "billing",
        "suspended",
    ),
    "a country": (said("Country, region, or territory not supported", 403), "network", "Country"),
    "a location": (said("User location is not supported for the API use."), "network", "location"),
    "an unknown model of Bedrock": (said("The provided model identifier is invalid."), "model_not_found", "identifier"),
    "a model that the account may not use": (
        said("You don't have access to the model with the specified model ID.", 403),
        "model_not_found",
        "access",
    ),
    "a refresh that was refused": (said("invalid_grant"), "auth", "invalid_grant"),
}
TOO_LONG = (
    "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    "Input is too long for requested model.",
    "Please reduce the length of the messages or completion.",
    "This model's maximum prompt length is 131072 but the request contains 200000 tokens.",
    "Range of input length should be [1, 30720]",
    "Prompt exceeds max length",
    "context window exceeds limit (2013)",
    "too many tokens: total number of tokens in the prompt cannot exceed 4081",
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Given: 9000",
    "the request exceeds the available context size, try increasing it",
    "Trying to keep the first 5000 tokens when context the overflows.",
    "prompt token count of 130000 exceeds the limit of 128000",
    "输入内容超过模型最大长度限制",
)
"""A conversation that is too long, in the words of Google, Bedrock, Groq, xAI, Qwen, Zhipu, MiniMax, Cohere, TGI,
llama.cpp, LM Studio, Copilot and a Chinese gateway.
"""
FAILURES |= {f"too long: {words[:30]}": (said(words), "context_overflow", "400") for words in TOO_LONG}


async def asked(
    sent: bytes,
    timeouts: Timeouts = Timeouts(connect=30, first_byte=30, idle=30, total=60),  # noqa: B008 - a value
) -> str:
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
        async for part in client.stream(endpoint, prompt, timeouts):
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


async def test_a_small_body_that_unpacks_into_much_nothing_does_not_hold_the_event_loop() -> None:
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    bomb = answer(gzip.compress(b"\n" * 2_000_000, 1), content_encoding="gzip")
    others = asyncio.create_task(turn())
    with pytest.raises(ProviderError, match="ended early"):
        await asked(bomb)
    others.cancel()
    pieces = 2_000_000 // encoding.MOST_AT_ONCE
    assert turns > pieces


async def test_a_reply_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "REPLY_LIMIT", 100_000)
    with pytest.raises(ProviderError, match="the reply exceeds 100000 bytes"):
        await asked(answer(gzip.compress(sse(PONG) * 10_000), content_encoding="gzip"))


def _streamed(text: str) -> bytes:
    """A whole answer with one piece of text, over a connection that stays open."""
    events = [{"choices": [{"delta": {"content": text}}]}, {"choices": [{"delta": {}, "finish_reason": "stop"}]}]
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(body)}\r\n\r\n"
    return (head + body).encode()


@pytest.mark.parametrize("unasked", [_streamed("of nobody"), b"HTTP/1.1 408 Request Timeout\r\n\r\n", b""])
async def test_what_comes_over_an_idle_connection_answers_no_later_request(unasked: bytes) -> None:
    """Words that nobody asked for, or its end (no words): the next request takes another connection."""
    connections: list[asyncio.StreamWriter] = []
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        with suppress(ConnectionError):  # the client closes it with words unread
            while head := await reader.read(65536):
                heads.append(head)
                writer.write(_streamed(f"number {len(heads)}"))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = ProviderClient(SystemClock())
    where = Endpoint("acme", "openai-completions", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
    prompt = Prompt("m", (Message("user", "ping"),))

    async def one() -> str:
        parts = [part async for part in client.stream(where, prompt, Timeouts())]
        return "".join(part.text for part in parts if isinstance(part, TextDelta))

    try:
        assert [await one(), await one()] == ["number 1", "number 2"]
        assert len(connections) == 1
        if unasked:
            connections[0].write(unasked)
            await connections[0].drain()
        else:
            connections[0].close()
            await connections[0].wait_closed()
        assert await one() == "number 3"
        assert len(connections) == 2
        assert all(head.endswith(b"}") for head in heads)  # a request is one packet: its head and its body
    finally:
        await client.aclose()
        for connection in connections:
            connection.close()
        server.close()
