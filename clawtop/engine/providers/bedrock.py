"""Amazon Bedrock's Converse api, streaming (`bedrock-converse-stream`).

A bearer key is sent as it is; without one the request is signed (SigV4) with botocore, the `bedrock` extra, by
whatever AWS credentials the environment has.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from clawtop.engine.providers import reading
from clawtop.engine.providers.base import (
    Block,
    Endpoint,
    Image,
    Prompt,
    ReplyPart,
    SilentProgress,
    Text,
    ToolCall,
    ToolResult,
    Usage,
    as_list,
    bearer,
    joined_url,
    merged,
)
from clawtop.engine.providers.errors import ErrorKind, ProviderError, from_event
from clawtop.engine.providers.framing import EVENT_LIMIT, Frames, FrameTooLargeError, SseFrame
from clawtop.engine.providers.reply import ReplyDecoder

STOP_REASONS: Mapping[str, str] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "toolUse",
    "guardrail_intervened": "filter",
    "content_filtered": "filter",
}
EXCEPTION_STATUS: Mapping[str, int] = {
    "throttlingException": 429,
    "serviceUnavailableException": 503,
    "internalServerException": 500,
    "modelStreamErrorException": 424,
    "validationException": 400,
    "accessDeniedException": 403,
    "modelTimeoutException": 408,
}
PRELUDE = struct.Struct(">III")


class BedrockConverse:
    """`POST {base}/model/{model}/converse-stream`."""

    kind = "bedrock-converse-stream"

    def url(self, endpoint: Endpoint, model: str) -> str:
        return joined_url(endpoint.base_url, f"/model/{quote(model, safe='')}/converse-stream")

    def headers(self, endpoint: Endpoint) -> dict[str, str]:
        return {"accept": "application/vnd.amazon.eventstream", **bearer(endpoint)}

    def body(self, endpoint: Endpoint, prompt: Prompt) -> dict[str, object]:  # noqa: ARG002 - one body for all hosts
        body: dict[str, object] = {
            "messages": [
                {"role": message.role, "content": [_block(block) for block in message.blocks]}
                for message in merged(prompt.messages)
            ]
        }
        settings: dict[str, object] = {}
        if prompt.max_tokens:
            settings["maxTokens"] = prompt.max_tokens
        if prompt.temperature is not None:
            settings["temperature"] = prompt.temperature
        given = dict(prompt.params)
        if "top_p" in given:
            settings["topP"] = given.pop("top_p")
        if "stop" in given:
            settings["stopSequences"] = as_list(given.pop("stop"))
        if settings:
            body["inferenceConfig"] = settings
        if prompt.system:
            body["system"] = [{"text": prompt.system}]
        if prompt.tool_names:
            schema = {"json": {"type": "object", "properties": {}}}
            tools = [{"toolSpec": {"name": name, "inputSchema": schema}} for name in prompt.tool_names]
            body["toolConfig"] = {"tools": tools}
        return {**body, **given}

    def decoder(self, endpoint: Endpoint) -> BedrockDecoder:
        return BedrockDecoder(endpoint.provider)


def _block(block: Block) -> dict[str, object]:
    match block:
        case Text(text):
            return {"text": text}
        case Image(mime, data):
            return {"image": {"format": mime.partition("/")[2].replace("jpg", "jpeg"), "source": {"bytes": data}}}
        case ToolCall(id=id_, name=name, arguments=arguments):
            return {"toolUse": {"toolUseId": id_, "name": name, "input": dict(arguments)}}
        case ToolResult(id=id_, text=text, is_error=is_error):
            status = "error" if is_error else "success"
            return {"toolResult": {"toolUseId": id_, "content": [{"text": text or "(no output)"}], "status": status}}


class BedrockDecoder(ReplyDecoder):
    """A reply ends with `messageStop`; its usage follows in `metadata`."""

    def feed(self, event: str, data: str) -> Iterable[ReplyPart]:
        kind, _, name = event.partition(":")
        if kind == "exception":
            error = {"code": name, "status": EXCEPTION_STATUS.get(name), **reading.obj(reading.parsed(data))}
            raise from_event(self.provider, error)
        return super().feed(name or event, data)

    def take(self, event: str, value: dict[str, Any]) -> Iterable[ReplyPart]:
        if event not in value and len(value) == 1 and isinstance(next(iter(value.values())), Mapping):
            event, value = next((key, dict(inner)) for key, inner in value.items())
        match event:
            case "contentBlockStart":
                tool = reading.obj(reading.obj(value.get("start")).get("toolUse"))
                return [self.tool(tool.get("name"))] if tool else ()
            case "contentBlockDelta":
                delta = reading.obj(value.get("delta"))
                if delta.get("toolUse") is not None:
                    return [self.tool(None)]
                thinking = reading.obj(delta.get("reasoningContent")).get("text")
                return self.parts(delta.get("text"), thinking)
            case "messageStop":
                reason = reading.text(value.get("stopReason"))
                self.stop = STOP_REASONS.get(reason, "stop")
                self.filtered = reason if self.stop == "filter" else None
            case "metadata":
                usage = reading.obj(value.get("usage"))
                self.usage = Usage(
                    input=reading.count(usage.get("inputTokens")),
                    output=reading.count(usage.get("outputTokens")),
                    cache_read=reading.count(usage.get("cacheReadInputTokens")),
                    cache_write=reading.count(usage.get("cacheWriteInputTokens")),
                )
                self.done = self.stop is not None
            case "messageStart":
                return [SilentProgress()]
            case _:
                pass
        return ()


class EventStreamFrames(Frames):
    """`application/vnd.amazon.eventstream`: length, headers, payload, two checksums. Text falls back to `Frames`."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes = bytearray()
        self._is_text: bool | None = None

    def feed(self, chunk: bytes) -> Iterator[SseFrame]:
        if self._is_text is None and chunk:
            self._is_text = chunk[:1] in {b"{", b"[", b"d", b"e", b":", b"<", b" ", b"\n"}
        if self._is_text:
            yield from super().feed(chunk)
            return
        self._bytes += chunk
        while len(self._bytes) >= PRELUDE.size:
            total, headers_size, _ = PRELUDE.unpack_from(self._bytes)
            if not 16 <= total <= EVENT_LIMIT or headers_size > total - 16:
                raise FrameTooLargeError("the reply is not an AWS event stream")
            if len(self._bytes) < total:
                return
            message = bytes(self._bytes[:total])
            del self._bytes[:total]
            if zlib.crc32(message[:-4]) != struct.unpack_from(">I", message, total - 4)[0]:
                raise FrameTooLargeError("an event of the AWS event stream is damaged")
            yield _frame(message, headers_size)

    def rest(self) -> Iterator[SseFrame]:
        if self._is_text:
            yield from super().rest()


def _frame(message: bytes, headers_size: int) -> SseFrame:
    headers = _headers(message[PRELUDE.size : PRELUDE.size + headers_size])
    payload = message[PRELUDE.size + headers_size : -4].decode("utf-8", "replace")
    kind = headers.get(":message-type", "event")
    name = headers.get(":exception-type") or headers.get(":error-code") or headers.get(":event-type", "")
    if kind == "error":
        payload = json.dumps({"message": headers.get(":error-message", "")})
    return f"{'event' if kind == 'event' else 'exception'}:{name}", payload


def _headers(block: bytes) -> dict[str, str]:
    """The text headers of an event, up to the first that is not text."""
    found: dict[str, str] = {}
    at = 0
    while at + 2 <= len(block):
        size = block[at]
        name = block[at + 1 : at + 1 + size].decode("utf-8", "replace")
        at += 1 + size
        if at + 3 > len(block) or block[at] != 7:
            break
        length = int.from_bytes(block[at + 1 : at + 3], "big")
        found[name] = block[at + 3 : at + 3 + length].decode("utf-8", "replace")
        at += 3 + length
    return found


class SigV4:
    """Signs requests with the AWS credentials of the environment."""

    def __init__(self, region: str, provider: str) -> None:
        """Raises ProviderError without botocore, or without credentials."""
        try:
            from botocore.session import Session
        except ImportError:
            raise ProviderError(
                ErrorKind.CREDENTIAL,
                "requests without a bearer key are signed with botocore, which is not installed",
                provider=provider,
                hint="install the extra `bedrock` of clawtop-tui, or set AWS_BEARER_TOKEN_BEDROCK",
            ) from None
        credentials = Session().get_credentials()
        if credentials is None:
            raise ProviderError(ErrorKind.CREDENTIAL, "there are no AWS credentials here", provider=provider)
        self._credentials = credentials
        self._region = region

    def __call__(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        request = AWSRequest(method, url, data=body, headers={"content-type": headers.get("content-type", "")})
        SigV4Auth(self._credentials, "bedrock", self._region).add_auth(request)
        return {name.lower(): str(value) for name, value in request.headers.items()}


def region_of(base_url: str, environ: Mapping[str, str]) -> str:
    """The region that an address is in, else the environment's."""
    host = urlsplit(base_url).hostname or ""
    parts = host.split(".")
    if host.endswith(".amazonaws.com") and len(parts) >= 4:
        return parts[1]
    return environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"
