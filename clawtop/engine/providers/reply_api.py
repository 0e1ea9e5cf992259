"""Detects the API of a reply: nearly always the one requested, but gateways and local servers also answer in others.

The first conclusive event decides; earlier ones went to the decoder of the requested API.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from clawtop.engine.providers import reading
from clawtop.engine.providers.anthropic import AnthropicDecoder
from clawtop.engine.providers.base import Finished, ReplyPart
from clawtop.engine.providers.google import GoogleDecoder
from clawtop.engine.providers.ollama import OllamaDecoder
from clawtop.engine.providers.openai import OpenAiDecoder
from clawtop.engine.providers.plain import COHERE, PlainDecoder, is_plain
from clawtop.engine.providers.reply import ReplyDecoder
from clawtop.engine.providers.responses import ResponsesDecoder

DOCUMENT = "document"
"""The name of clawtop's own event at the end of a body that was one JSON document."""
_DONE = "DONE"
"""With brackets, as most servers send it, or without."""
_LONGEST_END = 40
_LAST_EVENTS = frozenset({"done", "end", "close", "complete", "finish"})
_NOTHING = frozenset({"", "{}", "null", '""', "true"})
_DONE_ALONE = frozenset({'{"done":true}', '{"finished":true}'})
_ANTHROPIC = frozenset({"message_start", "content_block_start", "content_block_delta", "message_delta"})


def decoder_for(event: str, value: Mapping[str, Any]) -> Callable[[str], ReplyDecoder] | None:
    """The decoder of an event's API; None if the event is inconclusive: an error, a ping, something unknown."""
    kind = reading.text(value.get("type")) or event
    if "choices" in value or "choices" in reading.obj(value.get("output")) or reading.obj(value.get("choice")):
        return OpenAiDecoder
    if kind in _ANTHROPIC or (kind == "message" and isinstance(value.get("content"), list)):
        return AnthropicDecoder
    if kind.startswith("response.") or value.get("object") == "response":
        return ResponsesDecoder
    if "candidates" in value:
        return GoogleDecoder
    if isinstance(value.get("message"), Mapping) and isinstance(value.get("done"), bool):
        return OllamaDecoder
    return PlainDecoder if is_plain(value) or kind in COHERE else None


class DetectingDecoder:
    """Decodes one reply by the API that it turns out to be in."""

    def __init__(self, asked: ReplyDecoder) -> None:
        """`asked`: the decoder of the API that was asked for."""
        self._decoder = asked
        self._known = False
        self._unfinished = False

    @property
    def done(self) -> bool:
        return self._decoder.done

    @property
    def complete(self) -> bool:
        return self._decoder.complete

    def feed(self, event: str, data: str) -> Iterable[ReplyPart]:
        """The parts of one event. Raises ProviderError like the API's own decoder."""
        if self._ends(event, data):
            self._decoder.done = True
            return ()
        if not self._known:
            self._learn(event, data)
        return self._decoder.feed(event, data)

    def finish(self) -> Finished | None:
        return self._decoder.finish()

    def _ends(self, event: str, data: str) -> bool:
        """Whether an event only says that nothing more follows."""
        if event == DOCUMENT:
            return self._known and not self._unfinished
        if len(data) > _LONGEST_END:
            return False
        text = data.strip().replace(" ", "")
        if text.strip('"[]').upper() == _DONE or text in _DONE_ALONE:
            return True
        return event in _LAST_EVENTS and text in _NOTHING

    def _learn(self, event: str, data: str) -> None:
        value = reading.parsed(data)
        if not isinstance(value, dict):
            return
        value = value if event else reading.unwrapped(value)
        found = None if reading.error_of(value) is not None else decoder_for(event, value)
        if found is None:
            return
        self._known, self._unfinished = True, _is_unfinished(value)
        if found is not type(self._decoder):
            self._decoder = found(self._decoder.provider)


def _is_unfinished(value: Mapping[str, Any]) -> bool:
    """Whether a piece itself says that more follows."""
    pieces = any("delta" in choice for choice in reading.items(value.get("choices")))
    return pieces or value.get("done") is False or value.get("stop") is False
