"""A conversation as it is sent to a model: messages made of text, images, tool calls and their results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from clawtop.values import dataclass

CHARS_PER_TOKEN = 4
IMAGE_TOKENS = 1200
MESSAGE_TOKENS = 8
"""Token cost of a message besides its content, and of an image: the estimates that OpenClaw uses."""

NO_RESULT = "No result provided"
IMAGE_LEFT_OUT = "(image omitted: model does not support images)"


@dataclass(frozen=True, slots=True)
class Text:
    """Text."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """A picture: its MIME type and its bytes in base64."""

    mime: str
    data: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The assistant's call of a tool."""

    id: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """A tool's result for the call `id`."""

    id: str
    name: str
    text: str
    is_error: bool = False


Block = Text | Image | ToolCall | ToolResult


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `role` is "user" or "assistant"; tool results belong to the user, as in most provider APIs."""

    role: str
    content: str | tuple[Block, ...]

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The content as blocks; empty texts are left out."""
        if isinstance(self.content, str):
            return (Text(self.content),) if self.content else ()
        return tuple(block for block in self.content if not isinstance(block, Text) or block.text)

    @property
    def is_plain(self) -> bool:
        """Text only, so the API's plain form (a string) is enough."""
        return isinstance(self.content, str) or all(isinstance(block, Text) for block in self.content)

    @property
    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "\n".join(block.text for block in self.blocks if isinstance(block, Text))

    @property
    def tokens(self) -> int:
        """An estimate of the message's size in tokens."""
        return MESSAGE_TOKENS + sum(_tokens(block) for block in self.blocks)


def _tokens(block: Block) -> int:
    match block:
        case Text(text) | ToolResult(text=text):
            return len(text) // CHARS_PER_TOKEN
        case Image():
            return IMAGE_TOKENS
        case ToolCall(name=name, arguments=arguments):
            return (len(name) + len(str(arguments))) // CHARS_PER_TOKEN


def merged(messages: Iterable[Message]) -> list[Message]:
    """Messages as every provider API accepts them: adjacent ones of the same role joined, empty ones left out."""
    turns: list[Message] = []
    for message in messages:
        if not message.blocks:
            continue
        if turns and turns[-1].role == message.role:
            before = turns[-1]
            if before.is_plain and message.is_plain:
                turns[-1] = Message(message.role, f"{before.text}\n\n{message.text}")
            else:
                turns[-1] = Message(message.role, (*before.blocks, *message.blocks))
        else:
            turns.append(message)
    return turns


def paired(messages: Iterable[Message]) -> list[Message]:
    """Pair every call with a result and every result with its call, as the APIs require.

    A call without a result gets one that says so; a result whose call is missing is dropped.
    """
    said: list[Message] = []
    open_calls: dict[str, ToolCall] = {}
    for message in messages:
        blocks = list(message.blocks)
        if message.role == "assistant":
            said += _unanswered(open_calls)
            open_calls = {block.id: block for block in blocks if isinstance(block, ToolCall)}
        else:
            blocks = [block for block in blocks if not isinstance(block, ToolResult) or block.id in open_calls]
            for block in blocks:
                if isinstance(block, ToolResult):
                    open_calls.pop(block.id, None)
            if any(not isinstance(block, ToolResult) for block in blocks):
                said += _unanswered(open_calls)
                open_calls = {}
        if len(blocks) == len(message.blocks):
            said.append(message)
        elif blocks:
            said.append(replace(message, content=tuple(blocks)))
    return [*said, *_unanswered(open_calls)]


def _unanswered(calls: Mapping[str, ToolCall]) -> list[Message]:
    results = tuple(ToolResult(call.id, call.name, NO_RESULT, is_error=True) for call in calls.values())
    return [Message("user", results)] if results else []


def without_images(messages: Sequence[Message]) -> tuple[list[Message], int]:
    """The messages with each picture replaced by a placeholder, and the number of pictures."""
    count, said = 0, []
    for message in messages:
        if message.is_plain:
            said.append(message)
            continue
        blocks = tuple(Text(IMAGE_LEFT_OUT) if isinstance(block, Image) else block for block in message.blocks)
        count += sum(isinstance(block, Image) for block in message.blocks)
        said.append(replace(message, content=blocks))
    return said, count


def as_words(messages: Sequence[Message]) -> tuple[list[Message], int]:
    """The messages without tool calls and results, and how many there were: for APIs without tools."""
    count, said = 0, []
    for message in messages:
        blocks = tuple(block for block in message.blocks if not isinstance(block, ToolCall | ToolResult))
        count += len(message.blocks) - len(blocks)
        if blocks:
            said.append(replace(message, content=blocks))
    return said, count


def trimmed(messages: Sequence[Message], budget: int) -> tuple[list[Message], int]:
    """The latest messages that fit into `budget` tokens, and how many older ones were left out.

    The remaining messages begin with one the user wrote, so that no result is without its call. The last message is
    kept even if it alone exceeds the budget.
    """
    costs = [message.tokens for message in messages]
    total, first = sum(costs), 0
    while total > budget and first < len(messages) - 1:
        total -= costs[first]
        first += 1
    while 0 < first < len(messages) - 1 and not _begins_a_turn(messages[first]):
        first += 1
    return list(messages[first:]), first


def _begins_a_turn(message: Message) -> bool:
    return message.role == "user" and not any(isinstance(block, ToolResult) for block in message.blocks)
