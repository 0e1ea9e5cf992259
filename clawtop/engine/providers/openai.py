"""OpenAI-compatible chat completions, streaming (`openai-completions`)."""

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

DONE = "[DONE]"
NATIVE_HOST = "api.openai.com"
"""Its newer models refuse `max_tokens`, the field that everybody else knows."""
STOP_REASONS: Mapping[str, str] = {
    "length": "length",
    "tool_calls": "toolUse",
    "function_call": "toolUse",
    "content_filter": "error",
}


class _Wire(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _PromptDetails(_Wire):
    cached_tokens: int | None = None


class _Usage(_Wire):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None


class _Delta(_Wire):
    content: str | None = None
    refusal: str | None = None


class _Choice(_Wire):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(_Wire):
    id: str | None = None
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: dict[str, Any] | str | None = None


class OpenAiCompletions:
    """`POST {base}/chat/completions` with the credential as a bearer."""

    kind = "openai-completions"

    def url(self, base_url: str) -> str:
        return joined_url(base_url, "/chat/completions")

    def headers(self, endpoint: Endpoint) -> dict[str, str]:
        return {"authorization": f"Bearer {endpoint.secret.reveal()}"} if endpoint.secret is not None else {}

    def body(self, endpoint: Endpoint, prompt: Prompt) -> dict[str, object]:
        turns = merged_turns(prompt.messages)
        if prompt.system:
            turns.insert(0, {"role": "system", "content": prompt.system})
        body: dict[str, object] = {
            "model": prompt.model,
            "messages": turns,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if not prompt.max_tokens:
            return body
        native = urlsplit(endpoint.base_url).hostname == NATIVE_HOST
        return {**body, "max_completion_tokens" if native else "max_tokens": prompt.max_tokens}

    def decoder(self, endpoint: Endpoint) -> _OpenAiDecoder:
        return _OpenAiDecoder(endpoint.provider)


class _OpenAiDecoder:
    """A reply is complete once a choice has a finish reason or `[DONE]` arrived: some servers send only one of them."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._id: str | None = None
        self._model: str | None = None
        self._usage = _Usage()
        self._finish_reason: str | None = None
        self.done = False

    def feed(self, data: str) -> Iterable[ReplyPart]:
        if data.strip() == DONE:
            self.done = True
            return ()
        try:
            chunk = _Chunk.model_validate_json(data)
        except ValidationError:
            raise not_the_protocol(
                self._provider, "the reply holds an event that is not a completion chunk", data
            ) from None
        if chunk.error is not None:
            raise from_event(self._provider, {"message": chunk.error} if isinstance(chunk.error, str) else chunk.error)
        self._id = chunk.id or self._id
        self._model = chunk.model or self._model
        self._usage = chunk.usage or self._usage
        parts: list[ReplyPart] = []
        for choice in chunk.choices or ():
            self._finish_reason = choice.finish_reason or self._finish_reason
            text = choice.delta and (choice.delta.content or choice.delta.refusal)
            if text:
                parts.append(TextDelta(text))
        return parts

    def finish(self) -> ReplyPart | None:
        if self._finish_reason is None and not self.done:
            return None
        usage = self._usage
        cached = (usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else 0) or 0
        return Finished(
            stop_reason=STOP_REASONS.get(self._finish_reason or "", "stop"),
            usage=Usage(
                input=max(0, (usage.prompt_tokens or 0) - cached),
                output=usage.completion_tokens or 0,
                cache_read=cached,
            ),
            response_id=self._id,
            model=self._model,
        )
