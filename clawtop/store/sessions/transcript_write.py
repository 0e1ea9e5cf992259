"""Writing transcripts in OpenClaw's format (version 3), and the list entry of a session that clawtop creates.

Entries are appended in one write under the session's lock (the caller's), complete lines or nothing. Ids continue one
parent chain. Unknown details of a turn are left out, not invented.
"""

from __future__ import annotations

import json
import os
import secrets
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clawtop.core.session.fence import FileFingerprint
from clawtop.errors import OperationFailedError, UsageError
from clawtop.store import door
from clawtop.store.disk import disk
from clawtop.store.sessions.conversation import Conversation
from clawtop.store.sessions.fingerprint import fingerprint_of
from clawtop.text import safe
from clawtop.values import dataclass

VERSION = 3
NO_COST: Mapping[str, int] = {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0, "total": 0}


@dataclass(frozen=True, slots=True)
class TranscriptReply:
    """An answer as the transcript keeps it. Token counts are OpenClaw's four; `cost` in USD, by the same names."""

    text: str
    api: str
    provider: str
    model: str
    stop_reason: str = "stop"
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    response_id: str | None = None
    cost: Mapping[str, float] = field(default_factory=dict)

    @property
    def usage(self) -> dict[str, Any]:
        counts = {
            "input": self.input,
            "output": self.output,
            "cacheRead": self.cache_read,
            "cacheWrite": self.cache_write,
        }
        return {**counts, "totalTokens": sum(counts.values()), "cost": {**NO_COST, **self.cost}}


class EntryChain:
    """Makes entries that continue a conversation, each naming the one before as its parent."""

    def __init__(self, conversation: Conversation, new_id: Callable[[], str] = lambda: secrets.token_hex(4)) -> None:
        self._parent = conversation.leaf
        self._ids = set(conversation.ids)
        self._new_id = new_id

    def user(self, text: str, at: int) -> dict[str, Any]:
        """The user's message, at `at` ms since the epoch."""
        return self._message(at, {"role": "user", "content": [{"type": "text", "text": text}], "timestamp": at})

    def assistant(self, reply: TranscriptReply, at: int) -> dict[str, Any]:
        """The answer, at `at` ms since the epoch."""
        message = {
            "role": "assistant",
            "content": [{"type": "text", "text": reply.text}],
            "api": reply.api,
            "provider": reply.provider,
            "model": reply.model,
            "usage": reply.usage,
            "stopReason": reply.stop_reason,
            "timestamp": at,
        }
        return self._message(at, message | ({"responseId": reply.response_id} if reply.response_id else {}))

    def model_change(self, provider: str, model: str, at: int) -> dict[str, Any]:
        """From here on this model answers."""
        return self._entry("model_change", at, {"provider": provider, "modelId": model})

    def _message(self, at: int, message: Mapping[str, Any]) -> dict[str, Any]:
        return self._entry("message", at, {"message": message})

    def _entry(self, kind: str, at: int, body: Mapping[str, Any]) -> dict[str, Any]:
        name = self._new_id()
        while name in self._ids:
            name = self._new_id()
        entry = {"type": kind, "id": name, "parentId": self._parent, "timestamp": iso(at), **body}
        self._ids.add(name)
        self._parent = name
        return entry


def header(session_id: str, cwd: str, at: int) -> dict[str, Any]:
    """The first line of a transcript."""
    return {"type": "session", "version": VERSION, "id": session_id, "timestamp": iso(at), "cwd": cwd}


def encoded(entries: Iterable[Mapping[str, Any]]) -> bytes:
    """Entries as lines, as JavaScript writes them: compact, UTF-8, lone surrogates escaped."""
    lines = []
    for entry in entries:
        line = json.dumps(entry, ensure_ascii=False, separators=(",", ":"))
        try:
            lines.append(line.encode())
        except UnicodeEncodeError:
            lines.append(json.dumps(entry, separators=(",", ":")).encode())
    return b"".join(line + b"\n" for line in lines)


def append(path: Path, entries: Sequence[Mapping[str, Any]], *, after_half_line: bool = False) -> FileFingerprint:
    """Append the entries to a transcript, creating it (0644 less the umask) if need be; all of them or none.

    The caller holds the session's lock. `after_half_line`: the file ends inside a line, which is terminated first so
    that only that line is damaged. Returns the file's fingerprint afterwards.

    Raises:
        OperationFailedError: the disk refused; the file is unchanged.
    """
    data = (b"\n" if after_half_line else b"") + encoded(entries)
    try:
        with door.closing(door.open_file(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)) as descriptor:
            before = os.fstat(descriptor).st_size
            try:
                door.write_all(descriptor, data)
            except BaseException:
                disk.ftruncate(descriptor, before)
                raise
            return fingerprint_of(os.fstat(descriptor))
    except OSError as error:
        raise OperationFailedError(
            f"{safe(path)} cannot be written: {error.strerror or error}", unchanged="the transcript is unchanged"
        ) from error


def session_id_for(sessions_dir: Path, key: str) -> str:
    """The id of the session that clawtop makes for an unknown KEY: the same in every process.

    Raises UsageError for a key that is not text.
    """
    directory = os.path.realpath(sessions_dir)
    try:
        return str(uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_URL, Path(directory).as_uri()), key))
    except UnicodeEncodeError:
        raise UsageError(f"{safe(key, 80)} is not a session key: it is not text") from None


def iso(at: int) -> str:
    """Milliseconds since the epoch as JavaScript's `toISOString` gives them."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
