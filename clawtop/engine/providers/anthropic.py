"""Anthropic Messages, streaming (`anthropic-messages`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from clawtop.engine.providers import reading
from clawtop.engine.providers.base import (
    Block,
    Endpoint,
    Image,
    Prompt,
    ReplyPart,
    Text,
    ToolCall,
    ToolResult,
    Usage,
    as_list,
    joined_url,
    merged,
)
from clawtop.engine.providers.reply import ReplyDecoder

API_VERSION = "2023-06-01"
OAUTH_BETA = "oauth-2025-04-20"
DEFAULT_MAX_TOKENS = 4096
STOP_REASONS: Mapping[str, str] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "toolUse",
    "refusal": "refusal",
    "sensitive": "filter",
}
THINKING_BUDGETS: Mapping[str, int] = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 16384}
LEAST_REPLY = 1024
"""Tokens that are kept for the reply where the model's limit leaves no room for the whole budget of thinking."""
ADAPTIVE = ("opus-4-6", "opus-4.6", "opus-4-7", "opus-4.7", "sonnet-4-6", "sonnet-4.6")
"""Models that take an effort level instead of a budget of thinking tokens."""


class AnthropicMessages:
    """`POST {base}/v1/messages`. Tokens and OAuth go as a bearer, keys as `x-api-key`, as OpenClaw sends them."""

    kind = "anthropic-messages"

    def url(self, endpoint: Endpoint, model: str) -> str:  # noqa: ARG002 - other wires name the model here
        base = endpoint.base_url.partition("?")[0].rstrip("/")
        return joined_url(endpoint.base_url, "/messages" if base.endswith("/v1") else "/v1/messages")

    def headers(self, endpoint: Endpoint) -> dict[str, str]:
        headers = {"anthropic-version": API_VERSION}
        if endpoint.secret is None:
            return headers
        if endpoint.credential_type == "api_key" and not endpoint.bearer:
            return {**headers, "x-api-key": endpoint.secret.reveal()}
        headers["authorization"] = f"Bearer {endpoint.secret.reveal()}"
        if endpoint.credential_type != "api_key" and endpoint.is_at("anthropic.com"):
            headers["anthropic-beta"] = OAUTH_BETA
        return headers

    def body(self, endpoint: Endpoint, prompt: Prompt) -> dict[str, object]:  # noqa: ARG002 - one body for all hosts
        limit = prompt.max_tokens or DEFAULT_MAX_TOKENS
        kept = _kept(prompt)
        body: dict[str, object] = {
            "model": prompt.model,
            "max_tokens": limit,
            "messages": _messages(prompt, kept),
            "stream": True,
        }
        if prompt.system:
            body["system"] = _system(prompt, kept)
        if prompt.tool_names:
            body["tools"] = [
                {"name": name, "input_schema": {"type": "object", "properties": {}}} for name in prompt.tool_names
            ]
            body["tool_choice"] = {"type": "none"}
        thinking = _thinking(prompt, limit)
        if prompt.temperature is not None and not thinking:
            body["temperature"] = prompt.temperature
        given = dict(prompt.params)
        if "stop" in given:
            body["stop_sequences"] = as_list(given.pop("stop"))
        return {**body, **thinking, **given}

    def decoder(self, endpoint: Endpoint) -> AnthropicDecoder:
        return AnthropicDecoder(endpoint.provider)


def _thinking(prompt: Prompt, limit: int) -> dict[str, object]:
    level = prompt.thinking
    if level is None or level == "off":
        return {}
    if any(name in prompt.model for name in ADAPTIVE):
        effort = {"minimal": "low", "xhigh": "max"}.get(level, level)
        return {"thinking": {"type": "adaptive"}, "output_config": {"effort": effort}}
    budget = THINKING_BUDGETS.get(level)
    if budget is None:
        return {}
    most = min(limit + budget, prompt.most_tokens or limit + budget)
    if most <= budget:
        budget = max(0, most - LEAST_REPLY) or LEAST_REPLY
    return {"thinking": {"type": "enabled", "budget_tokens": budget}, "max_tokens": most}


def _kept(prompt: Prompt) -> dict[str, object]:
    """What marks the end of a part of the prompt that the provider is asked to keep for the next turn."""
    if prompt.cache == "none":
        return {}
    return {"cache_control": {"type": "ephemeral", **({"ttl": "1h"} if prompt.cache == "long" else {})}}


def _system(prompt: Prompt, kept: Mapping[str, object]) -> str | list[dict[str, object]]:
    system = prompt.system or ""
    if not kept:
        return system
    stable = prompt.stable if prompt.stable and system.startswith(prompt.stable) else system
    rest = system[len(stable) :].lstrip()
    blocks: list[dict[str, object]] = [{"type": "text", "text": stable, **kept}]
    return [*blocks, {"type": "text", "text": rest}] if rest else blocks


def _messages(prompt: Prompt, kept: Mapping[str, object]) -> list[dict[str, object]]:
    said = merged(prompt.messages)
    messages: list[dict[str, object]] = [
        {"role": message.role, "content": message.text}
        if message.is_plain
        else {"role": message.role, "content": [_block(block) for block in _results_first(message.blocks)]}
        for message in said
    ]
    if kept and said and said[-1].role == "user":
        blocks = [_block(block) for block in _results_first(said[-1].blocks)]
        messages[-1] = {"role": "user", "content": [*blocks[:-1], {**blocks[-1], **kept}]}
    return messages


def _results_first(blocks: Iterable[Block]) -> list[Block]:
    """The API requires tool results before anything else in a message."""
    return sorted(blocks, key=lambda block: not isinstance(block, ToolResult))


def _block(block: Block) -> dict[str, object]:
    match block:
        case Text(text):
            return {"type": "text", "text": text}
        case Image(mime, data):
            return {"type": "image", "source": {"type": "base64", "media_type": mime, "data": data}}
        case ToolCall(id=id_, name=name, arguments=arguments):
            return {"type": "tool_use", "id": id_, "name": name, "input": dict(arguments)}
        case ToolResult(id=id_, text=text, is_error=is_error):
            content = text or "(no output)"
            return {"type": "tool_result", "tool_use_id": id_, "content": content, "is_error": is_error}


class AnthropicDecoder(ReplyDecoder):
    """A reply ends with `message_stop`, or with the stop reason where a server leaves that out."""

    def __init__(self, provider: str) -> None:
        super().__init__(provider)
        self._counts: dict[str, Any] = {}

    def take(self, event: str, value: dict[str, Any]) -> Iterable[ReplyPart]:
        if event == "message" or (value.get("role") == "assistant" and "content" in value):
            return self._whole(value)
        kind = reading.text(value.get("type")) or event
        self._count(value.get("usage"))
        delta = reading.obj(value.get("delta"))
        match kind:
            case "message_start":
                message = reading.obj(value.get("message"))
                self.named(message.get("id"), message.get("model"))
                self._count(message.get("usage"))
                return self.parts(message.get("content"))
            case "content_block_start":
                return self._begun(reading.obj(value.get("content_block")))
            case "message_delta":
                self._stopped(delta.get("stop_reason"))
            case "message_stop":
                self.done = True
            case "ping":
                pass
            case _ if delta:
                return self._piece(delta)
            case _:
                pass
        return ()

    def _whole(self, value: Mapping[str, Any]) -> Iterable[ReplyPart]:
        """A non-streamed answer."""
        self.id = reading.name(value.get("id"))
        self.model = reading.name(value.get("model"))
        self._count(value.get("usage"))
        self._stopped(value.get("stop_reason") or "end_turn")
        self.done = True
        parts: list[ReplyPart] = []
        for block in reading.items(value.get("content")):
            parts += self._begun(block)
        return parts or self.parts(value.get("content"))

    def _begun(self, block: Mapping[str, Any]) -> list[ReplyPart]:
        if "tool_use" in reading.text(block.get("type")):
            return [self.tool(block.get("name"))]
        return self.parts(block)

    def _piece(self, delta: Mapping[str, Any]) -> list[ReplyPart]:
        if delta.get("partial_json") is not None:
            return [self.tool(None)]
        return self.parts(delta.get("text"), delta.get("thinking"))

    def _stopped(self, reason: object) -> None:
        if isinstance(reason, str) and reason:
            self.stop = STOP_REASONS.get(reason, "stop")
            if self.stop in {"refusal", "filter"}:
                self.filtered = reason

    def _count(self, usage: object) -> None:
        found = {name: count for name, count in reading.obj(usage).items() if count is not None}
        if not found:
            return
        self._counts |= found
        counts = self._counts
        self.usage = Usage(
            input=reading.count(counts.get("input_tokens")),
            output=reading.count(counts.get("output_tokens")),
            cache_read=reading.count(counts.get("cache_read_input_tokens")),
            cache_write=reading.count(counts.get("cache_creation_input_tokens")),
        )
