"""OpenAI's Responses api, streaming: `openai-responses`, and its relatives at ChatGPT and Azure."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from clawtop import nested
from clawtop.engine.providers import reading
from clawtop.engine.providers.base import (
    Endpoint,
    Image,
    Message,
    Prompt,
    ReplyPart,
    SilentProgress,
    Text,
    ToolCall,
    ToolResult,
    Usage,
    bearer,
    joined_url,
    merged,
)
from clawtop.engine.providers.errors import from_event
from clawtop.engine.providers.reply import ReplyDecoder

DEFAULT_INSTRUCTIONS = "You are a helpful assistant."
CODEX_ACCOUNT_CLAIM = "https://api.openai.com/auth"
INCOMPLETE: Mapping[str, str] = {"max_output_tokens": "length", "content_filter": "filter"}


class OpenAiResponses:
    """`POST {base}/responses` with the credential as a bearer."""

    kind = "openai-responses"

    def url(self, endpoint: Endpoint, model: str) -> str:  # noqa: ARG002 - other wires name the model here
        return joined_url(endpoint.base_url, "/responses")

    def headers(self, endpoint: Endpoint) -> dict[str, str]:
        return bearer(endpoint)

    def body(self, endpoint: Endpoint, prompt: Prompt) -> dict[str, object]:  # noqa: ARG002 - one body for all hosts
        body: dict[str, object] = {
            "model": prompt.model,
            "input": _input(prompt.messages),
            "stream": True,
            "store": False,
        }
        if prompt.system:
            body["instructions"] = prompt.system
        if prompt.max_tokens:
            body["max_output_tokens"] = max(16, prompt.max_tokens)
        if prompt.temperature is not None:
            body["temperature"] = prompt.temperature
        return {**body, **_reasoning(prompt), **_tools(prompt), **prompt.params}

    def decoder(self, endpoint: Endpoint) -> ResponsesDecoder:
        return ResponsesDecoder(endpoint.provider)


class AzureResponses(OpenAiResponses):
    """`POST {base}/responses?api-version=v1` with the key as `api-key` (`azure-openai-responses`)."""

    kind = "azure-openai-responses"

    def url(self, endpoint: Endpoint, model: str) -> str:  # noqa: ARG002 - as above
        parts = urlsplit(endpoint.base_url)
        host, path = parts.hostname or "", parts.path.rstrip("/")
        base = endpoint.base_url
        if host.endswith((".openai.azure.com", ".cognitiveservices.azure.com")) and path in {"", "/openai"}:
            base = joined_url(base, "/openai/v1" if not path else "/v1")
        url = joined_url(base, "/responses")
        return url if "api-version=" in url else f"{url}{'&' if '?' in url else '?'}api-version=v1"

    def headers(self, endpoint: Endpoint) -> dict[str, str]:
        if endpoint.secret is None or endpoint.credential_type != "api_key" or endpoint.bearer:
            return bearer(endpoint)
        return {"api-key": endpoint.secret.reveal()}


class CodexResponses(OpenAiResponses):
    """`POST {base}/codex/responses` with a ChatGPT login (`openai-codex-responses`).

    A configured server in ChatGPT's place gets what OpenClaw sends it: a plain request, at `{base}/responses`.
    """

    kind = "openai-codex-responses"

    def url(self, endpoint: Endpoint, model: str) -> str:  # noqa: ARG002 - as above
        path = endpoint.base_url.partition("?")[0].rstrip("/")
        if path.endswith("/responses"):
            return endpoint.base_url
        short = path.endswith("/codex") or not _is_chatgpt(endpoint)
        return joined_url(endpoint.base_url, "/responses" if short else "/codex/responses")

    def headers(self, endpoint: Endpoint) -> dict[str, str]:
        headers = {**bearer(endpoint), "openai-beta": "responses=experimental", "originator": "clawtop"}
        account = endpoint.account or _account_of(endpoint)
        return {**headers, "chatgpt-account-id": account} if account else headers

    def body(self, endpoint: Endpoint, prompt: Prompt) -> dict[str, object]:
        if not _is_chatgpt(endpoint):
            return super().body(endpoint, prompt)
        body: dict[str, object] = {
            "model": prompt.model,
            "input": _input(prompt.messages),
            "instructions": prompt.system or DEFAULT_INSTRUCTIONS,
            "stream": True,
            "store": False,
            "text": {"verbosity": "low"},
        }
        if prompt.session_id:
            body["prompt_cache_key"] = prompt.session_id[:64]
        if reasoning := _reasoning(prompt):
            body |= {**reasoning, "include": ["reasoning.encrypted_content"]}
        return {**body, **_tools(prompt), **prompt.params}


def _is_chatgpt(endpoint: Endpoint) -> bool:
    return endpoint.is_at("chatgpt.com")


def _account_of(endpoint: Endpoint) -> str | None:
    """The account's id in the login's token, which is a JWT."""
    parts = endpoint.secret.reveal().split(".") if endpoint.secret is not None else []
    if len(parts) != 3:
        return None
    try:
        claims = nested.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error):
        return None
    return reading.name(reading.obj(reading.obj(claims).get(CODEX_ACCOUNT_CLAIM)).get("chatgpt_account_id"))


def _reasoning(prompt: Prompt) -> dict[str, object]:
    if prompt.thinking is None or prompt.thinking == "off":
        return {}
    return {"reasoning": {"effort": prompt.thinking, "summary": "auto"}}


def _tools(prompt: Prompt) -> dict[str, object]:
    """The tools of the history, declared so that the history is valid, with calls disabled."""
    if not prompt.tool_names:
        return {}
    declared = [
        {"type": "function", "name": name, "parameters": {"type": "object", "properties": {}}}
        for name in prompt.tool_names
    ]
    return {"tools": declared, "tool_choice": "none"}


def _input(messages: Iterable[Message]) -> list[dict[str, object]]:
    items: list[dict[str, object]] = []
    for message in merged(messages):
        said = "output_text" if message.role == "assistant" else "input_text"
        content: list[dict[str, object]] = []
        for block in message.blocks:
            match block:
                case Text(text):
                    content.append({"type": said, "text": text})
                case Image(mime, data):
                    url = f"data:{mime};base64,{data}"
                    content.append({"type": "input_image", "detail": "auto", "image_url": url})
                case ToolResult(id=id_, text=text):
                    call = id_.partition("|")[0]
                    items.append({"type": "function_call_output", "call_id": call, "output": text or "(no output)"})
                case ToolCall():
                    pass
        if content:
            items.append({"type": "message", "role": message.role, "content": content})
        items += [
            {
                "type": "function_call",
                "call_id": block.id.partition("|")[0],
                "name": block.name,
                "arguments": json.dumps(block.arguments),
            }
            for block in message.blocks
            if isinstance(block, ToolCall)
        ]
    return items


CLIENTS_CALLS = frozenset(
    {"apply_patch_call", "computer_call", "local_shell_call", "mcp_approval_request", "shell_call"}
)
"""Output items that ask the client to act if they come last: an item after one shows that the server ran it."""


class ResponsesDecoder(ReplyDecoder):
    """A reply ends with `response.completed`, `response.incomplete` or `response.failed`."""

    def __init__(self, provider: str) -> None:
        super().__init__(provider)
        self._said = False

    def take(self, event: str, value: dict[str, Any]) -> Iterable[ReplyPart]:
        kind = reading.text(value.get("type")) or event
        if value.get("object") == "response":
            return self._ended(value, whole=True)
        match kind:
            case "response.output_text.delta" | "response.refusal.delta":
                self._said = True
                if kind == "response.refusal.delta":
                    self.filtered = "refusal"
                return self.parts(value.get("delta"))
            case "response.output_item.added":
                item = reading.obj(value.get("item"))
                return [self.tool(item.get("name"))] if "call" in reading.text(item.get("type")) else ()
            case "response.created" | "response.in_progress" | "response.queued":
                response = reading.obj(value.get("response"))
                self.named(response.get("id"), response.get("model"))
            case "response.completed" | "response.incomplete" | "response.failed" | "response.done":
                return self._ended(reading.obj(value.get("response")), whole=False)
            case _ if kind.endswith(".delta"):
                thinking = value.get("delta") if "reasoning" in kind else None
                return [SilentProgress(reading.text(thinking))]
            case _:
                pass
        return ()

    def _ended(self, response: Mapping[str, Any], *, whole: bool) -> Iterable[ReplyPart]:
        self.named(response.get("id"), response.get("model"))
        status = reading.text(response.get("status"))
        if status in {"failed", "cancelled"}:
            raise from_event(self.provider, reading.obj(response.get("error")) or {"message": f"the reply {status}"})
        usage = reading.obj(response.get("usage"))
        cached = reading.count(reading.obj(usage.get("input_tokens_details")).get("cached_tokens"))
        self.usage = Usage(
            input=max(0, reading.count(usage.get("input_tokens")) - cached),
            output=reading.count(usage.get("output_tokens")),
            cache_read=cached,
        )
        parts: list[ReplyPart] = []
        output = tuple(reading.items(response.get("output")))
        last = output[-1] if output else None
        for item in output:
            kind = reading.text(item.get("type"))
            if "call" in kind or kind in CLIENTS_CALLS:
                waiting = kind if kind in CLIENTS_CALLS and item is last else None
                self.tool(item.get("name") or waiting)
            elif item.get("type") == "message" and (whole or not self._said):
                parts += self.parts(item.get("content"))
        reason = reading.text(reading.obj(response.get("incomplete_details")).get("reason"))
        self.stop = INCOMPLETE.get(reason, "length") if status == "incomplete" else "toolUse" if self.tools else "stop"
        if self.stop == "filter":
            self.filtered = reason
        elif self.filtered == "refusal":
            self.stop = "refusal"
        self.done = True
        return parts
