"""The base of the decoders: the state of one reply while its events arrive."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from clawtop.core.model import FailureReason
from clawtop.engine.providers import json_repair, reading
from clawtop.engine.providers.base import Finished, ReplyPart, SilentProgress, TextDelta, Usage
from clawtop.engine.providers.errors import ErrorKind, ProviderError, from_event, not_the_protocol
from clawtop.engine.providers.framing import STRAY_CHARS
from clawtop.patterns import regex

BAD_EVENTS = 3
"""This many non-JSON events are skipped; more of them mean that it is not a reply of this API."""

NOT_YET = frozenset({"", "null", "none"})
"""What some servers send as a finish reason until there is one."""

_ERROR_LINE = regex(r"\s{0,8}\[?error\]?[:\s]\s{0,8}(\S.*)", re.IGNORECASE | re.DOTALL)
"""An error that a server writes as plain words where an event should be."""


class ReplyDecoder:
    """One reply's state. A decoder subclasses it and fills it in `take`."""

    def __init__(self, provider: str) -> None:
        self.provider = provider
        self.done = False
        self.id: str | None = None
        self.model: str | None = None
        self.usage = Usage()
        self.stop: str | None = None
        self.filtered: str | None = None
        self.tools: dict[str, None] = {}
        self._bad = 0
        self._stray = ""
        self._words: reading.Object | None = None
        self._seen = 0

    def named(self, id_: object, model: object) -> None:
        """What the server calls the reply and its model, where it says so."""
        self.id = reading.name(id_) or self.id
        self.model = reading.name(model) or self.model

    @property
    def complete(self) -> bool:
        return self.done or self.stop is not None

    def feed(self, event: str, data: str) -> Iterable[ReplyPart]:
        """The parts of one event. Raises ProviderError for an in-band error."""
        value = reading.parsed(data)
        if isinstance(value, str) and value[:1] == "{":  # encoded twice
            value = reading.parsed(value)
        if isinstance(value, list) and value and all(isinstance(part, dict) for part in value):
            return [piece for part in value for piece in self._event(event, part)]
        if value is None and data[:1] == "{" and (found := self._in_a_row(data)):
            return [piece for part in found for piece in self._event(event, part)]
        if not isinstance(value, dict):
            self._not_an_object(event, data, value)
            return ()
        return self._event(event, value)

    @staticmethod
    def _in_a_row(data: str) -> list[dict[str, Any]]:
        """The objects of an event that should have been several; empty if it is anything else."""
        found = [reading.parsed(one) for one in json_repair.in_a_row(data)]
        return [one for one in found if isinstance(one, dict)]

    def _event(self, event: str, value: dict[str, Any]) -> Iterable[ReplyPart]:
        value = value if event else reading.unwrapped(value)
        self._seen += 1
        error = reading.error_of(value)
        if error is not None or event == "error":
            raise from_event(self.provider, error or value)
        if self._words is None and "type" not in value:
            self._words = reading.words_of(value)
        return self.take(event or reading.text(value.get("type")), value)

    def take(self, event: str, value: dict[str, Any]) -> Iterable[ReplyPart]:
        """The parts of one event that is an object and no error."""
        raise NotImplementedError

    def finish(self) -> Finished | None:
        if not self.complete:
            if self._words is not None:
                raise from_event(self.provider, self._words)
            if self._bad and not self._seen:
                raise not_the_protocol(
                    self.provider, f"the answer contains no event of its API: {self._stray}", self._stray
                )
            return None
        if self.stop == "error":
            raise ProviderError(
                ErrorKind.IN_STREAM,
                "the provider ended the reply with an error",
                provider=self.provider,
                reason=FailureReason.SERVER_ERROR,
            )
        return Finished(self.stop or "stop", self.usage, self.id, self.model, tuple(self.tools), self.filtered)

    def parts(self, content: object, thinking: object = None) -> list[ReplyPart]:
        """Text and thinking of a piece of content, as parts."""
        text, thought = reading.said(content)
        thought += "".join(reading.said(thinking)) if thinking else ""
        found: list[ReplyPart] = [SilentProgress(thought)] if thought else []
        return [*found, TextDelta(text)] if text else found

    def tool(self, named: object) -> ReplyPart:
        """The model asks for a tool, or sends more of its arguments."""
        if isinstance(named, str) and named:
            self.tools[named] = None
        return SilentProgress()

    def _not_an_object(self, event: str, data: str, value: object) -> None:
        if event == "error" or (isinstance(value, str) and value):
            raise from_event(self.provider, {"message": value if isinstance(value, str) else data})
        if not data.strip():
            return
        if value is None and (told := _ERROR_LINE.match(data)) is not None:
            raise from_event(self.provider, {"message": told[1][:1000]})
        self._bad += 1
        self._stray = self._stray or data[:STRAY_CHARS]
        if self._bad > BAD_EVENTS:
            raise not_the_protocol(self.provider, "the reply contains events that are not JSON objects", data)
