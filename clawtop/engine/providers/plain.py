"""Replies without `choices`: the plain completions of local servers and of gateways that answer an OpenAI request so.

Ollama's generate and Cloudflare's Workers AI (`response`), TGI (`token`, `generated_text`), llama.cpp (`content` with
`stop`), KoboldAI and text-generation-webui (`results`, `token`), watsonx (`results`), DashScope (`output.text`),
FastChat (`text`), Qianfan (`result`), Cohere (`text` or `delta.message`, named events).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from clawtop.engine.providers import reading
from clawtop.engine.providers.base import ReplyPart, Usage
from clawtop.engine.providers.errors import from_event
from clawtop.engine.providers.reply import NOT_YET, ReplyDecoder

LENGTH = frozenset({"length", "max_tokens", "limit", "max_length"})
COHERE = frozenset({"message-start", "content-start", "content-delta", "content-end", "message-end"})
"""Events of Cohere's own API, second version; they have a `type`. Those of the first have an `event_type`."""
_COHERE_TEXT, _COHERE_END = "text-generation", "stream-end"


def is_plain(value: Mapping[str, Any]) -> bool:
    """Whether an event is a piece of such a reply."""
    if "type" in value or "choices" in value:
        return False
    if "event_type" in value or (isinstance(value.get("result"), str) and "is_end" in value):
        return True
    token, output = value.get("token"), reading.obj(value.get("output"))
    return (
        isinstance(value.get("response"), str)
        or isinstance(token, str)
        or "text" in reading.obj(token)
        or isinstance(value.get("generated_text"), str)
        or isinstance(value.get("results"), list)
        or ("content" in reading.obj(value.get("message")) and isinstance(value.get("finish_reason"), str))
        or isinstance(output.get("text"), str)
        or (isinstance(value.get("output_text"), str) and "output" not in value)
        or (isinstance(value.get("content"), str) and isinstance(value.get("stop"), bool))
        or (isinstance(value.get("text"), str) and bool({"error_code", "finish_reason"} & value.keys()))
    )


class PlainDecoder(ReplyDecoder):
    """A reply ends with a finish reason, with `done` or `stop`, or with the whole text.

    `text` and `output.text` repeat everything so far each time; the other fields hold only what is new.
    """

    def __init__(self, provider: str) -> None:
        super().__init__(provider)
        self._so_far = ""

    def take(self, event: str, value: dict[str, Any]) -> Iterable[ReplyPart]:  # noqa: ARG002 - one kind of event
        self.id = reading.name(value.get("id") or value.get("request_id")) or self.id
        self.model = reading.name(value.get("model")) or self.model
        if "text" in value and reading.count(value.get("error_code")):
            raise from_event(self.provider, {"message": value["text"], "code": value["error_code"]})
        self._count(value)
        parts, whole = self._said(value)
        self._end(value, whole=whole)
        return parts

    def _said(self, value: Mapping[str, Any]) -> tuple[list[ReplyPart], bool]:
        """The text that an event adds, and whether it is the last."""
        token, results = value.get("token"), value.get("results")
        whole = isinstance(value.get("generated_text"), str)
        if token is not None:
            piece = {"text": token} if isinstance(token, str) else reading.obj(token)
            return [] if piece.get("special") is True else self.parts(piece.get("text")), whole
        if results is not None:
            texts = (item.get("text", item.get("generated_text")) for item in reading.items(results))
            return [part for text in texts for part in self.parts(text)], True
        if "event_type" in value:
            return self.parts(value.get("text") if value["event_type"] == _COHERE_TEXT else None), False
        message = reading.obj(value.get("delta")).get("message", value.get("message"))
        if isinstance(message, Mapping):
            return self.parts(message.get("content")), False
        if whole or isinstance(value.get("output_text"), str):
            return self.parts(value.get("generated_text") or value.get("output_text")), True
        grown = reading.obj(value.get("output")).get("text", value.get("text"))
        if isinstance(grown, str):
            return self._grown(grown), False
        return self.parts(value.get("response") or value.get("result") or value.get("content")), False

    def _grown(self, text: str) -> list[ReplyPart]:
        new = text.removeprefix(self._so_far)
        self._so_far = text
        return self.parts(new)

    def _end(self, value: Mapping[str, Any], *, whole: bool) -> None:
        places = [value, *(reading.obj(value.get(name)) for name in ("output", "details", "delta"))]
        places += list(reading.items(value.get("results")))[:1]
        names = ("finish_reason", "done_reason", "stop_reason")
        named = [reading.text(place.get(name)) for place in places for name in names]
        reason = next((word.lower() for word in named if word.lower() not in NOT_YET), "")
        over = whole or bool(reason) or any(value.get(name) is True for name in ("done", "stop", "is_end"))
        over = over or value.get("event_type") == _COHERE_END
        if over:
            cut = reason in LENGTH or value.get("stopped_limit") is True or value.get("stop_type") in LENGTH
            self.stop = "length" if cut else "error" if reason in {"error", "abort"} else "stop"

    def _count(self, value: Mapping[str, Any]) -> None:
        usage, details = reading.obj(value.get("usage")), reading.obj(value.get("details"))
        asked = reading.count(
            usage.get("prompt_tokens"), usage.get("input_tokens"), value.get("prompt_eval_count"),
            value.get("tokens_evaluated"),
        )  # fmt: skip
        said = reading.count(
            usage.get("completion_tokens"), usage.get("output_tokens"), value.get("eval_count"),
            value.get("tokens_predicted"), details.get("generated_tokens"),
        )  # fmt: skip
        if asked or said:
            self.usage = Usage(input=asked, output=said)
