"""OpenAI-compatible chat completions, streaming (`openai-completions`)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from clawtop.engine.providers import reading
from clawtop.engine.providers.base import (
    Endpoint,
    Image,
    Message,
    Prompt,
    ReplyPart,
    Text,
    ToolCall,
    ToolResult,
    Usage,
    bearer,
    joined_url,
    merged,
)
from clawtop.engine.providers.errors import from_event
from clawtop.engine.providers.openai_hosts import Expected, expected
from clawtop.engine.providers.reply import NOT_YET, ReplyDecoder

STOP_REASONS: Mapping[str, str] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "toolUse",
    "tool_use": "toolUse",
    "function_call": "toolUse",
    "content_filter": "filter",
    "content_filtered": "filter",
    "safety": "filter",
    "sensitive": "filter",
    "refusal": "refusal",
    "error": "error",
    "network_error": "error",
    "abort": "error",
    "timeout": "error",
    "insufficient_system_resource": "error",
}
THINKING_FIELDS = ("reasoning_content", "reasoning", "reasoning_text", "thinking", "reasoning_details")


class OpenAiCompletions:
    """`POST {base}/chat/completions` with the credential as a bearer."""

    kind = "openai-completions"

    def url(self, endpoint: Endpoint, model: str) -> str:  # noqa: ARG002 - other wires name the model here
        return joined_url(endpoint.base_url, "/chat/completions")

    def headers(self, endpoint: Endpoint) -> dict[str, str]:
        return bearer(endpoint)

    def body(self, endpoint: Endpoint, prompt: Prompt) -> dict[str, object]:
        compat = endpoint.compat
        body: dict[str, object] = {
            "model": prompt.model,
            "messages": _messages(prompt, compat),
            "stream": True,
        }
        host = expected(endpoint)
        if compat.get("supportsUsageInStreaming", host.streams_usage) is not False:
            body["stream_options"] = {"include_usage": True}
        if prompt.max_tokens:
            body[str(compat.get("maxTokensField") or host.max_tokens_field)] = prompt.max_tokens
        if prompt.temperature is not None:
            body["temperature"] = prompt.temperature
        if compat.get("supportsStore") is True:
            body["store"] = False
        if compat.get("supportsPromptCacheKey") is True and prompt.cache != "none" and prompt.session_id:
            body["prompt_cache_key"] = prompt.session_id
        if prompt.tool_names and compat.get("supportsTools") is not False:
            body["tools"] = [
                {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
                for name in prompt.tool_names
            ]
            body["tool_choice"] = "none"
        return {**body, **_thinking(prompt.thinking, compat, host), **prompt.params}

    def decoder(self, endpoint: Endpoint) -> OpenAiDecoder:
        return OpenAiDecoder(endpoint.provider)


def _thinking(level: str | None, compat: Mapping[str, Any], host: Expected) -> dict[str, object]:
    """How a level of thinking is asked for (`compat.thinkingFormat`, `supportsReasoningEffort`, else by the host)."""
    if level is None:
        return {}
    on = level != "off"
    efforts = reading.obj(compat.get("reasoningEffortMap"))
    effort = reading.text(efforts.get(level)) or level
    match compat.get("thinkingFormat", host.thinking_format):
        case "zai" | "qwen":
            return {"enable_thinking": on}
        case "qwen-chat-template":
            return {"chat_template_kwargs": {"enable_thinking": on, "preserve_thinking": True}}
        case "deepseek":
            more = {"reasoning_effort": effort} if on else {}
            return {"thinking": {"type": "enabled" if on else "disabled"}, **more}
        case "openrouter":
            return {"reasoning": {"effort": effort if on else "none"}}
        case "together":
            return {"reasoning": {"enabled": on}}
    if on and compat.get("supportsReasoningEffort", host.reasoning_effort) is True:
        return {"reasoning_effort": effort}
    return {}


def _messages(prompt: Prompt, compat: Mapping[str, Any]) -> list[dict[str, object]]:
    said: list[dict[str, object]] = []
    if prompt.system:
        role = "developer" if compat.get("supportsDeveloperRole") is True and prompt.thinking else "system"
        said.append({"role": role, "content": prompt.system})
    for message in merged(prompt.messages):
        if message.is_plain:
            said.append({"role": message.role, "content": message.text})
        elif message.role == "assistant":
            said.append(_assistant(message))
        else:
            said += _user(message, compat)
    return said


def _assistant(message: Message) -> dict[str, object]:
    calls = [
        {"id": block.id, "type": "function", "function": {"name": block.name, "arguments": _arguments(block)}}
        for block in message.blocks
        if isinstance(block, ToolCall)
    ]
    return {"role": "assistant", "content": message.text or None, **({"tool_calls": calls} if calls else {})}


def _arguments(call: ToolCall) -> str:
    return json.dumps(call.arguments, ensure_ascii=False)


def _user(message: Message, compat: Mapping[str, Any]) -> list[dict[str, object]]:
    """Tool results first, each as its own message, then the user's text."""
    named = compat.get("requiresToolResultName") is True
    said: list[dict[str, object]] = [
        {
            "role": "tool",
            "tool_call_id": block.id,
            "content": block.text or "(no output)",
            **({"name": block.name} if named and block.name else {}),
        }
        for block in message.blocks
        if isinstance(block, ToolResult)
    ]
    content: list[dict[str, object]] = []
    for block in message.blocks:
        if isinstance(block, Text):
            content.append({"type": "text", "text": block.text})
        elif isinstance(block, Image):
            content.append({"type": "image_url", "image_url": {"url": f"data:{block.mime};base64,{block.data}"}})
    if not content:
        return said
    if said and compat.get("requiresAssistantAfterToolResult") is True:
        said.append({"role": "assistant", "content": "I have processed the tool results."})
    plain = all(part["type"] == "text" for part in content)
    return [*said, {"role": "user", "content": message.text if plain else content}]


class OpenAiDecoder(ReplyDecoder):
    """A reply is complete once a choice has a finish reason or `[DONE]` arrived: some servers send only one of them.

    Pieces are read from `delta`, `message` (a non-streamed answer) or `text` (legacy completions).
    """

    def take(self, event: str, value: dict[str, Any]) -> Iterable[ReplyPart]:  # noqa: ARG002 - one kind of event
        self.named(value.get("id"), value.get("model"))
        if usage := reading.obj(value.get("usage") or reading.obj(value.get("x_groq")).get("usage")):
            self.usage = _usage(usage)
        parts: list[ReplyPart] = []
        for choice in reading.items(_choices(value)):
            if reading.count(choice.get("index")):
                continue
            if (error := reading.error_of({"error": choice.get("error")})) is not None:
                raise from_event(self.provider, error)
            parts += self._choice(choice)
        return parts

    def _choice(self, choice: Mapping[str, Any]) -> list[ReplyPart]:
        said = next((choice[name] for name in ("delta", "message", "messages") if choice.get(name)), None)
        delta = {"content": said} if isinstance(said, str | list) else reading.obj(said)
        thinking = next((delta[name] for name in THINKING_FIELDS if delta.get(name)), None)
        content = delta.get("content") or choice.get("text")
        parts = self.parts(content, thinking)
        if refused := reading.text(delta.get("refusal")):
            self.filtered = "refusal"
            parts += self.parts(refused)
        for call in reading.items(delta.get("tool_calls") or delta.get("function_call")):
            parts.append(self.tool(reading.obj(call.get("function")).get("name") or call.get("name")))
        names = ("finish_reason", "finishReason", "native_finish_reason")
        reason = next((choice[name] for name in names if choice.get(name)), None)
        if reason is not None and not isinstance(reason, str):
            reason = next((word for word in map(reading.text, reading.obj(reason).values()) if word), "stop")
        if reason is not None and reason.lower() not in NOT_YET:
            self.stop = STOP_REASONS.get(reason.lower(), "stop")
            if self.stop == "filter":
                self.filtered = _filter(choice) or self.filtered or reason
            elif self.filtered == "refusal":
                self.stop = "refusal"
        return parts


def _choices(value: Mapping[str, Any]) -> object:
    return value.get("choices") or value.get("choice") or reading.obj(value.get("output")).get("choices")


def _filter(choice: Mapping[str, Any]) -> str | None:
    """What Azure's filter found."""
    found = reading.obj(choice.get("content_filter_results"))
    names = [name for name, result in found.items() if reading.obj(result).get("filtered") is True]
    return ", ".join(names) or None


def _usage(usage: Mapping[str, Any]) -> Usage:
    details = reading.obj(usage.get("prompt_tokens_details") or usage.get("input_tokens_details"))
    cached = reading.count(details.get("cached_tokens"), usage.get("prompt_cache_hit_tokens"))
    written = reading.count(details.get("cache_write_tokens"))
    prompt = reading.count(usage.get("prompt_tokens"), usage.get("input_tokens"))
    return Usage(
        input=max(0, prompt - cached - written),
        output=reading.count(usage.get("completion_tokens"), usage.get("output_tokens")),
        cache_read=cached,
        cache_write=written,
    )
