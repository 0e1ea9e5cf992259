"""A transcript as a conversation: which messages a prompt holds, and the entry that the next one continues.

Entries form a tree by `parentId`; the one that ends in the file's last entry counts (docs/formats.md 5).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clawtop.core.model import Problem
from clawtop.store import door
from clawtop.text import safe

MAX_TRANSCRIPT_BYTES = 512 * 1024 * 1024
COMPACTED = "Summary of the conversation so far:\n\n"


@dataclass(frozen=True, slots=True)
class Said:
    """One message of the branch, as text. `role` is "user" or "assistant"."""

    role: str
    text: str


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
    said: tuple[Said, ...] = ()
    model: tuple[str, str] | None = None
    unfinished: bool = False
    problems: tuple[Problem, ...] = ()


def read_conversation(path: Path) -> Conversation:
    """The conversation in `path`, no link; an empty one when there is no such file. OSError when it cannot be read."""
    try:
        content = door.read(path, MAX_TRANSCRIPT_BYTES).data
    except FileNotFoundError:
        return Conversation()
    return parse_conversation(content, str(path))


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
        value = json.loads(line)
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


def _said(branch: list[Mapping[str, Any]]) -> list[Said]:
    said: list[Said] = []
    for entry in _after_compaction(branch):
        if entry.get("type") == "compaction" and _text(entry.get("summary")):
            said.append(Said("user", COMPACTED + str(entry["summary"])))
        message = entry.get("message")
        if entry.get("type") != "message" or not isinstance(message, Mapping):
            continue
        role = message.get("role")
        text = message_text(message)
        if role in {"user", "assistant"} and text:
            said.append(Said(str(role), text))
    return said


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
