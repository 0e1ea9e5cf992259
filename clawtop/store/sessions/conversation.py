"""A transcript as a conversation: the messages that a prompt contains, and the entry that the next one must follow.

Entries form a tree by `parentId`; the one that ends in the file's last entry counts (docs/formats.md 5).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from clawtop.core.conversation import Block, Image, Message, Text, ToolCall, ToolResult
from clawtop.core.model import Problem
from clawtop.core.session.fence import MISSING, FileFingerprint
from clawtop.nested import loads
from clawtop.store import door
from clawtop.store.sessions.fingerprint import fingerprint, fingerprint_of
from clawtop.text import safe
from clawtop.values import dataclass

MAX_TRANSCRIPT_BYTES = 512 * 1024 * 1024
MOST_KEPT = 256
MOST_KEPT_BYTES = 16 * 1024 * 1024
"""Bytes of transcripts; their parsed content takes a few times that."""
COMPACTED = "Summary of the conversation so far:\n\n"


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a transcript holds.

    Attributes:
        session_id: the header's id; None without a header.
        leaf: the id of the last entry, which the next one names as its parent.
        ids: every entry id, so that a new one can differ.
        said: the messages of the branch, after its last compaction, oldest first.
        model: (provider, model) of the branch's last model change or answer.
        unfinished: the file ends in the middle of a line.
        problems: lines that could not be read; they are left out.
    """

    session_id: str | None = None
    leaf: str | None = None
    ids: frozenset[str] = frozenset()
    said: tuple[Message, ...] = ()
    model: tuple[str, str] | None = None
    unfinished: bool = False
    problems: tuple[Problem, ...] = ()


def read_conversation(path: Path) -> Conversation:
    """The conversation in `path`, not a link; an empty one if there is no such file. OSError if it cannot be read."""
    return _read(path)[0]


def _read(path: Path) -> tuple[Conversation, FileFingerprint]:
    try:
        content, facts = door.read(path, MAX_TRANSCRIPT_BYTES)
    except FileNotFoundError:
        return Conversation(), MISSING
    return parse_conversation(content, str(path)), fingerprint_of(facts)


def continued(before: Conversation, entries: Sequence[Mapping[str, Any]]) -> Conversation:
    """The conversation after appending `entries`: whole lines, each continuing the one before."""
    named = [entry for entry in entries if entry.get("type") != "session"]
    begun = next((_text(entry.get("id")) for entry in entries if entry.get("type") == "session"), None)
    return replace(
        before,
        session_id=begun or before.session_id,
        leaf=str(named[-1]["id"]) if named else before.leaf,
        ids=before.ids | {str(entry["id"]) for entry in named},
        said=(*before.said, *_said(named)),
        model=_model(named) or before.model,
        unfinished=False,
    )


class KeptConversations:
    """Parsed transcripts, kept as long as they are unchanged. Belongs to one event loop.

    `at_once` never reads a file; `read` may be called in a thread.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[Path, tuple[FileFingerprint, Conversation]] = OrderedDict()
        self._bytes = 0

    def at_once(self, path: Path) -> Conversation | None:
        """The conversation where the transcript is unchanged, or is not there; else None."""
        now = fingerprint(path)
        if now == MISSING:
            return Conversation()
        known = self._known.get(path)
        return known[1] if known is not None and known[0] == now else None

    def read(self, path: Path) -> tuple[Conversation, FileFingerprint]:
        """The conversation as it is now, to be given to `keep`. OSError when it cannot be read."""
        return _read(path)

    def keep(self, path: Path, conversation: Conversation, now: FileFingerprint) -> None:
        """Remember the conversation of a transcript with this fingerprint."""
        known = self._known.pop(path, None)
        self._bytes += now.size - (known[0].size if known is not None else 0)
        self._known[path] = (now, conversation)
        while len(self._known) > MOST_KEPT or self._bytes > MOST_KEPT_BYTES:
            _, (gone, _) = self._known.popitem(last=False)
            self._bytes -= gone.size


def size_of(path: Path) -> int:
    """The size of a transcript in bytes; 0 when there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def parse_conversation(content: bytes, where: str) -> Conversation:
    """The conversation that the bytes of a transcript hold."""
    entries: dict[str, Mapping[str, Any]] = {}
    problems: list[Problem] = []
    session_id: str | None = None
    leaf: str | None = None
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        entry = _parsed(line)
        if entry is None:
            problems.append(Problem("transcript-line", f"{safe(where)}:{number}", "not a JSON object"))
        elif entry.get("type") == "session":
            session_id = _text(entry.get("id")) or session_id
        elif isinstance(entry.get("id"), str):
            leaf = entry["id"]
            entries[entry["id"]] = entry
    branch = _branch(entries, leaf)
    return Conversation(
        session_id=session_id,
        leaf=leaf,
        ids=frozenset(entries),
        said=tuple(_said(branch)),
        model=_model(branch),
        unfinished=bool(content) and not content.endswith(b"\n"),
        problems=tuple(problems),
    )


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        value = loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _branch(entries: Mapping[str, Mapping[str, Any]], leaf: str | None) -> list[Mapping[str, Any]]:
    """From the root to `leaf`. A parent that is missing or met before ends the walk."""
    branch: list[Mapping[str, Any]] = []
    seen: set[str] = set()
    current = leaf
    while current is not None and current in entries and current not in seen:
        seen.add(current)
        branch.append(entries[current])
        current = _text(entries[current].get("parentId"))
    branch.reverse()
    return branch


def _said(branch: list[Mapping[str, Any]]) -> list[Message]:
    said: list[Message] = []
    for entry in _after_compaction(branch):
        if entry.get("type") == "compaction" and _text(entry.get("summary")):
            said.append(Message("user", COMPACTED + str(entry["summary"])))
        message = entry.get("message")
        if entry.get("type") == "message" and isinstance(message, Mapping):
            made = _message(message)
            said += [made] if made is not None and made.blocks else []
    return said


def _message(message: Mapping[str, Any]) -> Message | None:
    """One message; None for what is not part of a prompt: program notes, replies that failed or were aborted."""
    role = message.get("role")
    if role == "toolResult":
        return Message("user", _result(message))
    if role not in ("user", "assistant") or message.get("stopReason") in ("error", "aborted"):
        return None
    content = message.get("content")
    if isinstance(content, str):
        return Message(str(role), content)
    blocks = tuple(block for raw in _objects(content) if (block := _block(raw)) is not None)
    if all(isinstance(block, Text) for block in blocks):
        return Message(str(role), "\n".join(block.text for block in blocks if isinstance(block, Text)))
    return Message(str(role), blocks)


def _block(raw: Mapping[str, Any]) -> Block | None:
    match raw.get("type"):
        case "text":
            text = _text(raw.get("text"))
            return Text(text) if text else None
        case "image":
            data, mime = _text(raw.get("data")), _text(raw.get("mimeType"))
            return Image(mime, data) if data and mime else None
        case "toolCall":
            name, id_ = _text(raw.get("name")), _text(raw.get("id"))
            arguments = raw.get("arguments")
            return ToolCall(id_, name, arguments if isinstance(arguments, Mapping) else {}) if name and id_ else None
    return None


def _result(message: Mapping[str, Any]) -> tuple[Block, ...]:
    """A tool's result; its images follow it, since not every API takes them inside."""
    id_, name = _text(message.get("toolCallId")), _text(message.get("toolName")) or ""
    if id_ is None:
        return ()
    content = message.get("content")
    pictures = [block for raw in _objects(content) if isinstance(block := _block(raw), Image)]
    return (ToolResult(id_, name, message_text(message), message.get("isError") is True), *pictures)


def _objects(content: object) -> list[Mapping[str, Any]]:
    return [raw for raw in content if isinstance(raw, Mapping)] if isinstance(content, list) else []


def _after_compaction(branch: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The last compaction and what it kept; the whole branch when nothing was compacted."""
    last = next((at for at in range(len(branch) - 1, -1, -1) if branch[at].get("type") == "compaction"), None)
    if last is None:
        return branch
    kept = branch[last].get("firstKeptEntryId")
    first = next((at for at, entry in enumerate(branch[:last]) if entry.get("id") == kept), last)
    return [branch[last], *branch[first:last], *branch[last + 1 :]]


def message_text(message: Mapping[str, Any]) -> str:
    """The text of a message: its string content, or its text blocks."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    blocks = (block for block in content if isinstance(block, Mapping) and block.get("type") == "text")
    return "\n".join(text for block in blocks if (text := _text(block.get("text"))))


def _model(branch: list[Mapping[str, Any]]) -> tuple[str, str] | None:
    for entry in reversed(branch):
        holder = entry.get("message") if entry.get("type") == "message" else entry
        if not isinstance(holder, Mapping):
            continue
        provider, model = _text(holder.get("provider")), _text(holder.get("modelId") or holder.get("model"))
        if provider and model and (entry.get("type") == "model_change" or holder.get("role") == "assistant"):
            return provider, model
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
