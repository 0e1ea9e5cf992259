"""Ollama's own chat api, streaming JSON lines (`ollama`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from clawtop.engine.providers import reading
from clawtop.engine.providers.base import (
    Endpoint,
    Image,
    Message,
    Prompt,
    ReplyPart,
    ToolCall,
    ToolResult,
    Usage,
    as_list,
    bearer,
    joined_url,
    merged,
)
from clawtop.engine.providers.reply import ReplyDecoder

STOP_REASONS: Mapping[str, str] = {"length": "length"}
OPTIONS = ("top_p", "frequency_penalty", "presence_penalty", "seed")
"""Parameters that are options of the model here, not fields of the request."""
PLACEHOLDER_KEYS = frozenset({"ollama-local", "ollama", "no-key"})
"""Placeholder keys in configurations of servers that need none."""


class Ollama:
    """`POST {base}/api/chat`."""

    kind = "ollama"

    def url(self, endpoint: Endpoint, model: str) -> str:  # noqa: ARG002 - other wires name the model here
        base, mark, query = endpoint.base_url.partition("?")
        base = base.rstrip("/").removesuffix("/v1").removesuffix("/api")
        return joined_url(base + mark + query, "/api/chat")

    def headers(self, endpoint: Endpoint) -> dict[str, str]:
        if endpoint.secret is None or endpoint.secret.reveal() in PLACEHOLDER_KEYS:
            return {}
        return bearer(endpoint)

    def body(self, endpoint: Endpoint, prompt: Prompt) -> dict[str, object]:
        """The request. A conversation that exceeds the model's window is an error, instead of losing its beginning."""
        messages: list[dict[str, object]] = [{"role": "system", "content": prompt.system}] if prompt.system else []
        for message in merged(prompt.messages):
            messages += _messages(message)
        options: dict[str, object] = {}
        if prompt.max_tokens:
            options["num_predict"] = prompt.max_tokens
        if prompt.temperature is not None:
            options["temperature"] = prompt.temperature
        given = dict(prompt.params)
        options |= {name: given.pop(name) for name in OPTIONS if name in given}
        if "stop" in given:
            options["stop"] = as_list(given.pop("stop"))
        options |= reading.obj(given.pop("options", None))
        body: dict[str, object] = {"model": prompt.model, "messages": messages, "stream": True}
        if not _is_cloud(endpoint, prompt.model):
            body |= {"truncate": False, "shift": False}
        if options:
            body["options"] = options
        body["think"] = prompt.thinking not in {None, "off"}
        return {**body, **given}

    def decoder(self, endpoint: Endpoint) -> OllamaDecoder:
        return OllamaDecoder(endpoint.provider)


def _is_cloud(endpoint: Endpoint, model: str) -> bool:
    """Whether Ollama's own servers run the model: they know no window of this machine."""
    named = endpoint.provider == "ollama-cloud" or model.endswith(("-cloud", ":cloud"))
    return named or endpoint.is_at("ollama.com")


def _messages(message: Message) -> list[dict[str, object]]:
    said: list[dict[str, object]] = [
        {"role": "tool", "content": block.text, "tool_name": block.name}
        for block in message.blocks
        if isinstance(block, ToolResult)
    ]
    images = [block.data for block in message.blocks if isinstance(block, Image)]
    calls = [
        {"function": {"name": block.name, "arguments": dict(block.arguments)}}
        for block in message.blocks
        if isinstance(block, ToolCall)
    ]
    if message.text or images or calls:
        own: dict[str, object] = {"role": message.role, "content": message.text}
        own |= {"images": images} if images else {}
        own |= {"tool_calls": calls} if calls else {}
        said.append(own)
    return said


class OllamaDecoder(ReplyDecoder):
    """A reply ends with the line that says `done`."""

    def take(self, event: str, value: dict[str, Any]) -> Iterable[ReplyPart]:  # noqa: ARG002 - one kind of event
        self.model = reading.name(value.get("model")) or self.model
        message = reading.obj(value.get("message"))
        parts = self.parts(message.get("content") or value.get("response"), message.get("thinking"))
        for call in reading.items(message.get("tool_calls")):
            parts.append(self.tool(reading.obj(call.get("function")).get("name")))
        if value.get("done") is True:
            self.done = True
            reason = reading.text(value.get("done_reason"))
            self.stop = "toolUse" if self.tools else STOP_REASONS.get(reason, "stop")
            self.usage = Usage(
                input=reading.count(value.get("prompt_eval_count")), output=reading.count(value.get("eval_count"))
            )
        return parts
