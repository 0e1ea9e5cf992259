"""What a provider call is made of: an endpoint, a prompt, time limits, and the parts of a streamed reply.

Nothing here touches the network or holds a secret in a representation; `http.py` makes the calls and the api
modules (`anthropic.py`, `openai.py`, `responses.py`, ...) know the wire formats.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any, Protocol
from urllib.parse import urlsplit

from clawtop.core.conversation import Block, Image, Message, Text, ToolCall, ToolResult, merged
from clawtop.store.provider.network_config import DIRECT, Network
from clawtop.store.provider.secrets import Secret
from clawtop.values import dataclass

__all__ = ["Block", "Image", "Message", "Network", "Text", "ToolCall", "ToolResult", "merged"]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits of one provider call, in seconds; None means no limit.

    Attributes:
        connect: until the connection (and TLS) is established.
        first_byte: from the request's first byte out to the reply's first piece of content in.
        idle: between two pieces of content; keep-alives and pings do not count.
        total: from beginning to end.
        late: from how many seconds on a provider's 408, 499, 504 or 524 counts as a timeout.
    """

    connect: float | None = 10.0
    first_byte: float | None = 120.0
    idle: float | None = 120.0
    total: float | None = 600.0
    late: float = 10.0


# --- the request -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is asked: the conversation so far, oldest first, ending with the user's message.

    Attributes:
        thinking: the level of reasoning (minimal, low, medium, high, xhigh); None: the model's default.
        params: further fields of the request's body from the configuration; they override clawtop's.
        session_id: lets providers reuse what they cached for this session.
        stable: the beginning of `system` that stays the same from turn to turn.
        cache: how long providers that are asked to keep a prompt keep it: none, short or long.
        most_tokens: the model's own limit of the output, thinking included.
    """

    model: str
    messages: tuple[Message, ...]
    system: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    thinking: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    session_id: str | None = None
    stable: str = ""
    cache: str = "short"
    most_tokens: int | None = None

    @property
    def tool_names(self) -> tuple[str, ...]:
        """The tools that the history calls: APIs with tool calls require them to be declared."""
        names = (
            block.name
            for message in self.messages
            for block in message.blocks
            if isinstance(block, ToolCall | ToolResult) and block.name
        )
        return tuple(dict.fromkeys(names))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one attempt goes, and with which credential.

    Attributes:
        provider: the provider's id in openclaw.json.
        api: a key of `http.APIS`.
        base_url: as configured; the credential goes to this origin and nowhere else.
        secret: the key, token or access token, or None for a local server that needs none.
        credential_type: "api_key", "token" or "oauth"; decides which header carries it.
        headers: extra headers from the configuration; they override clawtop's. Never shown: they may hold secrets.
        bearer: the configuration asks for the Authorization header (`authHeader`).
        auth: (header, value) that replaces the API's own authentication (`request.auth`).
        compat: what the model's server does differently, as OpenClaw's `compat` names it.
        network: TLS and proxy.
        account: the account's id, if the API wants it in addition to the token.
        region: of clouds that have regions.
        sign: signs a request (method, url, headers, body) that has no key (AWS SigV4).
    """

    provider: str
    api: str
    base_url: str
    secret: Secret | None = None
    credential_type: str = "api_key"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    bearer: bool = False
    auth: tuple[str, str] | None = field(default=None, repr=False)
    compat: Mapping[str, Any] = field(default_factory=dict)
    network: Network = DIRECT
    account: str | None = None
    region: str | None = None
    sign: Signer | None = field(default=None, repr=False)

    def is_at(self, *domains: str) -> bool:
        """Whether the server is at one of these domains, or below one."""
        host = urlsplit(self.base_url).hostname or ""
        return any(host == domain or host.endswith(f".{domain}") for domain in domains)


class Signer(Protocol):
    """Signs one request; returns the headers to add."""

    def __call__(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]: ...


# --- the reply ---------------------------------------------------------------------------------------------


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
    """The next chunk of the reply's text."""

    text: str


@dataclass(frozen=True, slots=True)
class SilentProgress:
    """Content that is not the reply's text: thinking, or a tool's arguments. It shows that the model is working."""

    thinking: str = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """The reply ended as its API defines.

    Attributes:
        stop_reason: stop, length, toolUse, filter (cut by a content filter), refusal or error.
        tool_calls: names of the tools that the model asked for; clawtop runs none.
        filtered: what the provider's filter found, in its own words.
    """

    stop_reason: str
    usage: Usage
    response_id: str | None = None
    model: str | None = None
    tool_calls: tuple[str, ...] = ()
    filtered: str | None = None


ReplyPart = TextDelta | SilentProgress | Finished


class Decoder(Protocol):
    """Turns the events of one reply into parts. One per reply; `feed` raises ProviderError for an in-band error."""

    @property
    def done(self) -> bool:
        """The api's own last event has come; the server may still keep the connection open."""

    @property
    def complete(self) -> bool:
        """The reply is complete, though more (its usage) may follow."""

    def feed(self, event: str, data: str) -> Iterable[ReplyPart]:
        """The parts in one event, often none. `event` is its name, if it has one."""

    def finish(self) -> Finished | None:
        """Called at the end of the body: the closing part if the reply is complete, else None."""


class Api(Protocol):
    """One wire format."""

    kind: str

    def url(self, endpoint: Endpoint, model: str) -> str:
        """Where prompts are posted."""

    def headers(self, endpoint: Endpoint) -> dict[str, str]:
        """The headers that authenticate and identify the call."""

    def body(self, endpoint: Endpoint, prompt: Prompt) -> dict[str, object]:
        """The JSON body of a streaming request."""

    def decoder(self, endpoint: Endpoint) -> Decoder:
        """A fresh decoder for one reply."""


def joined_url(base_url: str, path: str) -> str:
    """`base_url` with `path` appended; a query string of the base stays at the end."""
    base, mark, query = base_url.partition("?")
    return base.rstrip("/") + path + mark + query


def as_list(value: object) -> object:
    """A setting that may be one string or several, as a list."""
    return [value] if isinstance(value, str) else value


def bearer(endpoint: Endpoint) -> dict[str, str]:
    """The credential as a bearer token; nothing without one."""
    return {"authorization": f"Bearer {endpoint.secret.reveal()}"} if endpoint.secret is not None else {}
