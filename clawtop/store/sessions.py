"""sessions.json as rows, and the locks and trajectories that lie beside the transcripts (formats.md 5).

Generations A to C write sessions.json; clawtop never does while a gateway can be running.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from clawtop.core.activity import KNOWN_STATUSES, RUNNING
from clawtop.core.lanes import classify_session_key
from clawtop.core.model import Problem, Session
from clawtop.store.json_text import MEGABYTE, Stamp, UnreadableError, parse, read_bytes
from clawtop.store.layout import AgentPaths, Layout
from clawtop.store.wire import SESSIONS, SessionEntry, flag, milliseconds, suspension, text

MAX_SESSIONS_BYTES = 64 * MEGABYTE
SETTLED = KNOWN_STATUSES - {RUNNING}


@dataclass(frozen=True, slots=True)
class SessionsRead:
    """One reading of a sessions.json. In `rows`, `active` is False for a settled status, else not judged yet."""

    rows: tuple[Session, ...] = ()
    problem: Problem | None = None
    stamp: Stamp | None = None


def read_sessions(agent: AgentPaths, layout: Layout) -> SessionsRead:
    """The rows of an agent's sessions.json; none if there is no file."""
    where = str(agent.sessions_store)
    try:
        content, stamp = read_bytes(where, MAX_SESSIONS_BYTES)
        entries = _entries(content, where)
    except FileNotFoundError:
        return SessionsRead()
    except UnreadableError as error:
        return SessionsRead(problem=error.problem)
    files = _Files(agent, layout)
    return SessionsRead(tuple(_row(key, entry, agent.id, files) for key, entry in entries.items()), None, stamp)


def _entries(content: bytes, where: str) -> Mapping[str, SessionEntry | Any]:
    try:
        return SESSIONS.validate_json(content)
    except ValidationError:
        pass  # not JSON, not an object, or JSON that only a laxer parser takes (lone surrogates, giant numbers)
    value = parse(content, where)
    if not isinstance(value, dict):
        raise UnreadableError(Problem("wrong-type", where, "is not an object"))
    return SESSIONS.validate_python(value)


class _Files:
    """Where a session's transcript is: what the entry says, mapped into a copied directory, inside the sessions
    directory; else `<session id>.jsonl` there, as OpenClaw falls back.
    """

    def __init__(self, agent: AgentPaths, layout: Layout) -> None:
        self._directory = f"{agent.sessions_dir}/"
        self._layout = layout
        tail = f"/agents/{agent.id}/sessions/"
        known = [self._directory, os.path.realpath(agent.sessions_dir) + "/"]
        self._prefixes = tuple(dict.fromkeys([*known, *(root + tail for root in layout.foreign_roots)]))

    def of(self, stored: str | None, session_id: str | None) -> str | None:
        for name in self._candidates(stored, session_id):
            if name not in {"", ".", ".."} and "/" not in name and "\0" not in name:
                return self._directory + name
        return None

    def _candidates(self, stored: str | None, session_id: str | None) -> Iterator[str]:
        if stored is not None:
            yield from (stored.removeprefix(prefix) for prefix in self._prefixes if stored.startswith(prefix))
            parts = stored.split("/")
            if len(parts) == 1 or parts[-2] == "sessions":
                yield parts[-1]
        if session_id is not None:
            yield f"{session_id}.jsonl"


def _row(key: str, entry: SessionEntry | Any, agent: str, files: _Files) -> Session:
    if not isinstance(entry, SessionEntry):
        problem = Problem("bad-session", key, "its entry is not an object")
        return Session(agent, key, None, None, problems=(problem,), lane_class=classify_session_key(key))
    session_id = text(entry.sessionId)
    status = text(entry.status)
    return Session(
        agent=agent,
        key=key,
        session_id=session_id,
        file=files.of(text(entry.sessionFile), session_id),
        status=status,
        active=False if status in SETTLED else None,
        active_how=f"stored as {status}" if status in SETTLED else "",
        problems=tuple(_oddities(key, entry, status)),
        updated_at=milliseconds(entry.updatedAt),
        started_at=milliseconds(entry.startedAt),
        ended_at=milliseconds(entry.endedAt),
        provider=text(entry.modelProvider) or text(entry.providerOverride),
        model=text(entry.model) or text(entry.modelOverride),
        profile=text(entry.authProfileOverride),
        profile_source=text(entry.authProfileOverrideSource),
        compaction_count=milliseconds(entry.compactionCount),
        profile_compaction_count=milliseconds(entry.authProfileOverrideCompactionCount),
        lane_class=classify_session_key(key),
        aborted_last_run=flag(entry.abortedLastRun),
        suspension=suspension(entry.quotaSuspension),
        total_tokens=milliseconds(entry.totalTokens),
    )


def _oddities(key: str, entry: SessionEntry, status: str | None) -> Iterator[Problem]:
    if status is None and entry.status is not None:
        yield Problem("wrong-type", key, "its status is not a text")
    elif status is not None and status not in KNOWN_STATUSES:
        yield Problem("unknown-status", key, "its status is none that clawtop knows")
    for name, value in (("updatedAt", entry.updatedAt), ("startedAt", entry.startedAt), ("endedAt", entry.endedAt)):
        if value is not None and milliseconds(value) is None:
            yield Problem("absurd-value", key, f"{name} is not a usable number")
    if entry.sessionId is not None and text(entry.sessionId) is None:
        yield Problem("wrong-type", key, "its sessionId is not a text")
