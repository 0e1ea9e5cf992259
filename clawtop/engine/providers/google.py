"""Google's Gemini, streaming: `google-generative-ai`, and `google-vertex` with an express key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from clawtop.core.model import FailureReason
from clawtop.engine.providers import reading
from clawtop.engine.providers.base import (
    Block,
    Endpoint,
    Image,
    Prompt,
    ReplyPart,
    SilentProgress,
    Text,
    TextDelta,
    ToolCall,
    ToolResult,
    Usage,
    as_list,
    bearer,
    joined_url,
    merged,
)
from clawtop.engine.providers.errors import ErrorKind, ProviderError
from clawtop.engine.providers.reply import ReplyDecoder

STOP_REASONS: Mapping[str, str] = {
    "MAX_TOKENS": "length",
    "SAFETY": "filter",
    "RECITATION": "filter",
    "BLOCKLIST": "filter",
    "PROHIBITED_CONTENT": "filter",
    "SPII": "filter",
    "LANGUAGE": "filter",
    "IMAGE_SAFETY": "filter",
    "MALFORMED_FUNCTION_CALL": "error",
    "OTHER": "error",
}
SETTINGS: Mapping[str, str] = {
    "top_p": "topP",
    "frequency_penalty": "frequencyPenalty",
    "presence_penalty": "presencePenalty",
    "seed": "seed",
}
"""Parameters of a request -> `generationConfig`. Google refuses a request with fields that it does not know."""
BUDGETS: Mapping[str, int] = {"minimal": 128, "low": 2048, "medium": 8192, "high": 24576, "xhigh": 24576}


class GoogleGenerativeAi:
    """`POST {base}/models/{model}:streamGenerateContent?alt=sse` with the key as `x-goog-api-key`."""

    kind = "google-generative-ai"

    def url(self, endpoint: Endpoint, model: str) -> str:
        return _with_sse(joined_url(endpoint.base_url, f"/models/{_name(model)}:streamGenerateContent"))

    def headers(self, endpoint: Endpoint) -> dict[str, str]:
        if endpoint.secret is None:
            return {}
        if endpoint.credential_type == "api_key" and not endpoint.bearer:
            return {"x-goog-api-key": endpoint.secret.reveal()}
        return bearer(endpoint)

    def body(self, endpoint: Endpoint, prompt: Prompt) -> dict[str, object]:  # noqa: ARG002 - one body for all hosts
        given = dict(prompt.params)
        settings: dict[str, object] = {SETTINGS[name]: given.pop(name) for name in SETTINGS if name in given}
        if "stop" in given:
            settings["stopSequences"] = as_list(given.pop("stop"))
        if prompt.max_tokens:
            settings["maxOutputTokens"] = prompt.max_tokens
        if prompt.temperature is not None:
            settings["temperature"] = prompt.temperature
        if prompt.thinking is not None and prompt.thinking in BUDGETS:
            settings["thinkingConfig"] = {"includeThoughts": True, **_thinking(prompt.model, prompt.thinking)}
        body: dict[str, object] = {
            "contents": [
                {
                    "role": "model" if message.role == "assistant" else "user",
                    "parts": [_part(block) for block in message.blocks],
                }
                for message in merged(prompt.messages)
            ]
        }
        if prompt.system:
            body["systemInstruction"] = {"parts": [{"text": prompt.system}]}
        if settings:
            body["generationConfig"] = settings
        if prompt.tool_names:
            body["tools"] = [{"functionDeclarations": [{"name": name} for name in prompt.tool_names]}]
            body["toolConfig"] = {"functionCallingConfig": {"mode": "NONE"}}
        return {**body, **given}

    def decoder(self, endpoint: Endpoint) -> GoogleDecoder:
        return GoogleDecoder(endpoint.provider)


class GoogleVertex(GoogleGenerativeAi):
    """Vertex AI in express mode: `{base}/v1/publishers/google/models/{model}:streamGenerateContent` with a key."""

    kind = "google-vertex"

    def url(self, endpoint: Endpoint, model: str) -> str:
        base = endpoint.base_url
        versioned = base.partition("?")[0].rstrip("/").rpartition("/")[2].startswith("v1")
        path = f"/publishers/google/models/{_name(model)}:streamGenerateContent"
        return _with_sse(joined_url(base, path if versioned else "/v1" + path))

    def headers(self, endpoint: Endpoint) -> dict[str, str]:
        if endpoint.secret is None:
            raise ProviderError(
                ErrorKind.CREDENTIAL,
                "Vertex AI without an express key needs Google's application credentials, which clawtop does not read",
                provider=endpoint.provider,
                hint="give the provider an express-mode API key, or drive it through the gateway",
            )
        return super().headers(endpoint)


def _name(model: str) -> str:
    return quote(model.removeprefix("models/"), safe=".-_/:@")


def _with_sse(url: str) -> str:
    return url if "alt=" in url else f"{url}{'&' if '?' in url else '?'}alt=sse"


def _thinking(model: str, level: str) -> dict[str, object]:
    """Gemini 3 takes levels, earlier models a budget of tokens."""
    if "gemini-3" in model:
        return {"thinkingLevel": "LOW" if level in {"minimal", "low"} else "HIGH"}
    return {"thinkingBudget": BUDGETS[level]}


def _part(block: Block) -> dict[str, object]:
    match block:
        case Text(text):
            return {"text": text}
        case Image(mime, data):
            return {"inlineData": {"mimeType": mime, "data": data}}
        case ToolCall(name=name, arguments=arguments):
            return {"functionCall": {"name": name, "args": dict(arguments)}}
        case ToolResult(name=name, text=text, is_error=is_error):
            return {"functionResponse": {"name": name, "response": {"error" if is_error else "output": text}}}


class GoogleDecoder(ReplyDecoder):
    """A reply ends with a candidate's finish reason. Gemini sends the same shape as a stream and as one answer."""

    def take(self, event: str, value: dict[str, Any]) -> Iterable[ReplyPart]:  # noqa: ARG002 - one kind of event
        value = dict(reading.obj(value.get("response")) or value)
        self.named(value.get("responseId"), value.get("modelVersion"))
        if usage := reading.obj(value.get("usageMetadata")):
            self.usage = _usage(usage)
        blocked = reading.text(reading.obj(value.get("promptFeedback")).get("blockReason"))
        if blocked:
            raise ProviderError(
                ErrorKind.FILTERED,
                f"the provider refused the prompt ({blocked})",
                provider=self.provider,
                code=blocked,
                reason=FailureReason.MODERATION,
            )
        parts: list[ReplyPart] = []
        for candidate in reading.items(value.get("candidates")):
            for part in reading.items(reading.obj(candidate.get("content")).get("parts")):
                parts += self._part(part)
            reason = reading.text(candidate.get("finishReason"))
            if reason and reason != "FINISH_REASON_UNSPECIFIED":
                self.stop = STOP_REASONS.get(reason, "stop")
                self.filtered = reason if self.stop == "filter" else self.filtered
            if candidate.get("index") in (0, None):
                break
        if self.stop == "stop" and self.tools:
            self.stop = "toolUse"
        return parts

    def _part(self, part: Mapping[str, Any]) -> list[ReplyPart]:
        if part.get("functionCall") is not None:
            return [self.tool(reading.obj(part["functionCall"]).get("name"))]
        text = reading.text(part.get("text"))
        if not text:
            return []
        return [SilentProgress(text)] if part.get("thought") is True else [TextDelta(text)]


def _usage(usage: Mapping[str, Any]) -> Usage:
    cached = reading.count(usage.get("cachedContentTokenCount"))
    return Usage(
        input=max(0, reading.count(usage.get("promptTokenCount")) - cached),
        output=reading.count(usage.get("candidatesTokenCount")) + reading.count(usage.get("thoughtsTokenCount")),
        cache_read=cached,
    )
