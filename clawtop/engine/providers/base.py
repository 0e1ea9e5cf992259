"""What a provider call is made of: an endpoint, a prompt, time limits, and the parts of a streamed reply.

Nothing here touches the network or holds a secret in a representation; `http.py` makes the calls and the api
modules (`anthropic.py`, `openai.py`) know what the two wires look like.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from clawtop.store.provider.secrets import Secret


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits of one provider call, in seconds; None means no limit.

    Attributes:
        connect: until the connection (and TLS) stands.
        first_byte: from the request's first byte out to the reply's first byte of content in.
        idle: between two pieces of content, keep-alive comments included.
        total: from beginning to end.
    """

    connect: float | None = 10.0
    first_byte: float | None = 120.0
    idle: float | None = 120.0
    total: float | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a prompt. `role` is "user" or "assistant"."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is asked: the conversation so far, oldest first, ending with the user's message."""

    model: str
    messages: tuple[Message, ...]
    system: str | None = None
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one attempt goes, and with which credential.

    Attributes:
        provider: the provider's id in openclaw.json.
        api: "anthropic-messages" or "openai-completions".
        base_url: as configured; the credential goes to this origin and nowhere else.
        secret: the key, token or access token, or None for a local server that wants none.
        credential_type: "api_key", "token" or "oauth"; decides which header carries it.
        headers: extra headers of the configuration; they win over ours. Never shown: they may hold secrets.
        bearer: the configuration asks for the Authorization header (`authHeader`).
    """

    provider: str
    api: str
    base_url: str
    secret: Secret | None = None
    credential_type: str = "api_key"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    bearer: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, in OpenClaw's terms."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0

    @property
    def total(self) -> int:
        return self.input + self.output + self.cache_read + self.cache_write


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the reply's text."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The reply ended the way its api ends replies. `stop_reason` is OpenClaw's: stop, length, toolUse or error."""

    stop_reason: str
    usage: Usage
    response_id: str | None = None
    model: str | None = None


ReplyPart = TextDelta | Finished


class Decoder(Protocol):
    """Turns the events of one reply into parts. One per reply; `feed` raises ProviderError for an in-band error."""

    done: bool
    """The api's own last event has come; the server may still keep the connection open."""

    def feed(self, data: str) -> Iterable[ReplyPart]:
        """The parts that one event's data gives; often none."""

    def finish(self) -> ReplyPart | None:
        """The end of the bytes: the closing part if the reply is complete, else None."""


class Api(Protocol):
    """One wire format."""

    kind: str

    def url(self, base_url: str) -> str:
        """Where prompts are posted."""

    def headers(self, endpoint: Endpoint) -> dict[str, str]:
        """The headers that authenticate and identify the call."""

    def body(self, endpoint: Endpoint, prompt: Prompt) -> dict[str, object]:
        """The JSON body of a streaming request."""

    def decoder(self, endpoint: Endpoint) -> Decoder:
        """A fresh decoder for one reply."""


def merged_turns(messages: Sequence[Message]) -> list[dict[str, str]]:
    """Messages as both wires want them: neighbours of one role joined, empty ones left out."""
    turns: list[dict[str, str]] = []
    for message in messages:
        if not message.text:
            continue
        if turns and turns[-1]["role"] == message.role:
            turns[-1]["content"] += "\n\n" + message.text
        else:
            turns.append({"role": message.role, "content": message.text})
    return turns


def joined_url(base_url: str, path: str) -> str:
    """`base_url` with `path` appended; a query string of the base stays at the end."""
    base, mark, query = base_url.partition("?")
    return base.rstrip("/") + path + mark + query
