"""Anthropic Messages, streaming (`anthropic-messages`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from clawtop.engine.providers.base import (
    Endpoint,
    Finished,
    Prompt,
    ReplyPart,
    TextDelta,
    Usage,
    joined_url,
    merged_turns,
)
from clawtop.engine.providers.errors import from_event, not_the_protocol

API_VERSION = "2023-06-01"
OAUTH_BETA = "oauth-2025-04-20"
DEFAULT_MAX_TOKENS = 4096
STOP_REASONS: Mapping[str, str] = {"max_tokens": "length", "tool_use": "toolUse", "refusal": "error"}


class _Wire(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Usage(_Wire):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class _Message(_Wire):
    id: str | None = None
    model: str | None = None
    usage: _Usage = _Usage()


class _Delta(_Wire):
    type: str | None = None
    text: str | None = None
    stop_reason: str | None = None


class _Event(_Wire):
    type: str
    message: _Message | None = None
    delta: _Delta | None = None
    usage: _Usage | None = None
    error: dict[str, Any] | None = None


class AnthropicMessages:
    """`POST {base}/v1/messages`. Tokens and OAuth go as a bearer, keys as `x-api-key`, as OpenClaw sends them."""

    kind = "anthropic-messages"

    def url(self, base_url: str) -> str:
        return joined_url(base_url, "/v1/messages")

    def headers(self, endpoint: Endpoint) -> dict[str, str]:
        headers = {"anthropic-version": API_VERSION}
        if endpoint.secret is None:
            return headers
        if endpoint.credential_type == "api_key" and not endpoint.bearer:
            return {**headers, "x-api-key": endpoint.secret.reveal()}
        headers["authorization"] = f"Bearer {endpoint.secret.reveal()}"
        host = urlsplit(endpoint.base_url).hostname or ""
        if endpoint.credential_type != "api_key" and (host == "anthropic.com" or host.endswith(".anthropic.com")):
            headers["anthropic-beta"] = OAUTH_BETA
        return headers

    def body(self, _endpoint: Endpoint, prompt: Prompt) -> dict[str, object]:
        body: dict[str, object] = {
            "model": prompt.model,
            "max_tokens": prompt.max_tokens or DEFAULT_MAX_TOKENS,
            "messages": merged_turns(prompt.messages),
            "stream": True,
        }
        return {**body, "system": prompt.system} if prompt.system else body

    def decoder(self, endpoint: Endpoint) -> _AnthropicDecoder:
        return _AnthropicDecoder(endpoint.provider)


class _AnthropicDecoder:
    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._message = _Message()
        self._counts = _Usage()
        self._stop_reason: str | None = None
        self.done = False

    def feed(self, data: str) -> Iterable[ReplyPart]:
        try:
            event = _Event.model_validate_json(data)
        except ValidationError:
            raise not_the_protocol(
                self._provider, "the reply holds an event that is not a message event", data
            ) from None
        if event.type == "error":
            raise from_event(self._provider, event.error or {})
        if event.usage is not None:
            self._count(event.usage)
        if event.type == "message_start" and event.message is not None:
            self._message = event.message
            self._count(event.message.usage)
        elif event.type == "content_block_delta" and event.delta is not None and event.delta.text:
            return (TextDelta(event.delta.text),)
        elif event.type == "message_delta" and event.delta is not None:
            self._stop_reason = event.delta.stop_reason or self._stop_reason
        elif event.type == "message_stop":
            self.done = True
        return ()

    def finish(self) -> ReplyPart | None:
        if not self.done:
            return None
        counts = self._counts
        return Finished(
            stop_reason=STOP_REASONS.get(self._stop_reason or "", "stop"),
            usage=Usage(
                input=counts.input_tokens or 0,
                output=counts.output_tokens or 0,
                cache_read=counts.cache_read_input_tokens or 0,
                cache_write=counts.cache_creation_input_tokens or 0,
            ),
            response_id=self._message.id,
            model=self._message.model,
        )

    def _count(self, usage: _Usage) -> None:
        self._counts = self._counts.model_copy(update=usage.model_dump(exclude_none=True))
