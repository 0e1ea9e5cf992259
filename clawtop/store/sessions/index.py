"""sessions.json as rows, and the locks and trajectories beside the transcripts (docs/formats.md 5).

Generations A to C write sessions.json; clawtop never does while a gateway can be running.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Set
from dataclasses import replace
from typing import Any, cast

from clawtop.core.model import BLOCKED, Problem, Session
from clawtop.core.session.key import agent_of
from clawtop.core.session.lanes import classify_session_key
from clawtop.store import door
from clawtop.store.door import is_path
from clawtop.store.json_text import MEGABYTE, Stamp, UnreadableError, open_problem, parse, read_bytes
from clawtop.store.place.layout import AgentPaths, Layout
from clawtop.store.sessions.listed import listed_session
from clawtop.store.sessions.piecemeal import read_piecemeal
from clawtop.store.wire import session_entry
from clawtop.text import safe
from clawtop.values import dataclass

TRAJECTORY = ".trajectory.jsonl"

MAX_SESSIONS_BYTES = 64 * MEGABYTE
"""Lists up to this size are read into memory at once, and may be changed."""

MAX_READ_BYTES = 2_048 * MEGABYTE
PIECEMEAL_BYTES = 8 * MEGABYTE
"""Larger lists are read an entry at a time, to spare memory and other threads."""

SMALL_BYTES = 128 * 1024
"""Up to this size a list is parsed whole: loading what leaves out the parts that nobody needs takes longer."""

LARGE_BYTES = 32 * MEGABYTE
LARGE_LIST = "large-session-list"
"""The code of the problem of a larger list, which is read all the same."""


@dataclass(frozen=True, slots=True)
class SessionsRead:
    """One reading of a sessions.json.

    In `rows`, `active` is False for a settled status, with that status as the only witness; else not judged yet.
    """

    rows: tuple[Session, ...] = ()
    problem: Problem | None = None
    stamp: Stamp | None = None
    oddity: Problem | None = None
    """What is odd about a list that could be read."""


def read_sessions(agent: AgentPaths, layout: Layout) -> SessionsRead:
    """The rows of an agent's sessions.json; none if there is no file."""
    where = str(agent.sessions_store)
    try:
        size = agent.sessions_store.stat().st_size
        if size > PIECEMEAL_BYTES:
            entries, stamp = read_piecemeal(where, MAX_READ_BYTES, _essence)
        else:
            content, stamp = read_bytes(where, MAX_SESSIONS_BYTES)
            entries = _entries(content, where)
    except (FileNotFoundError, NotADirectoryError):
        words = door.in_the_way(where)
        return SessionsRead(problem=None if words is None else Problem(BLOCKED, where, words))
    except OSError as error:
        return SessionsRead(problem=open_problem(where, error))
    except UnreadableError as error:
        return SessionsRead(problem=_beside_transcripts(error.problem, agent))
    files = _TranscriptFiles(agent, layout)
    sharing = {other.id for other in layout.agents if other.sessions_store == agent.sessions_store}
    rows = tuple(_row(key, entry, _owner(key, sharing, agent.id), files) for key, entry in entries.items())
    return SessionsRead(rows, None, stamp, _large(where, size))


def _large(where: str, size: int) -> Problem | None:
    if size <= LARGE_BYTES:
        return None
    text = f"is {size // 1_000_000} MB: OpenClaw reads and writes all of it for every turn, and its locks time out"
    return Problem(LARGE_LIST, where, text)


def _beside_transcripts(problem: Problem, agent: AgentPaths) -> Problem:
    """An empty list next to transcripts is a lost list: report how many transcripts there are."""
    if problem.code != "empty":
        return problem
    try:
        with os.scandir(agent.sessions_dir) as found:
            count = sum(entry.name.endswith(".jsonl") and not entry.name.endswith(TRAJECTORY) for entry in found)
    except OSError:
        count = 0
    return replace(problem, text=f"is empty, and {count} transcripts are beside it") if count else problem


def _essence(key: str, entry: Any) -> Any:
    """The few fields of an entry that are used; entries that are not objects unchanged."""
    from pydantic_core import ValidationError

    from clawtop.store.sessions.list_schema import SESSIONS

    try:
        return SESSIONS.validate_python({key: entry})[key]
    except ValidationError:
        return entry if isinstance(entry, dict) else None


def _owner(key: str, sharing: Set[str], default: str) -> str:
    """The agent of a key, for a store that several agents share."""
    owner = agent_of(key) if len(sharing) > 1 else None
    return owner if owner in sharing and owner is not None else default


def _entries(content: bytes, where: str) -> Mapping[str, Any]:
    if len(content) > SMALL_BYTES:
        from pydantic_core import ValidationError

        from clawtop.store.sessions.list_schema import SESSIONS

        try:
            return cast("dict[str, Any]", SESSIONS.validate_json(content))
        except ValidationError:
            pass  # not JSON, not an object, or JSON that only a laxer parser takes (lone surrogates, giant numbers)
    value = parse(content, where)
    if not isinstance(value, dict):
        raise UnreadableError(Problem("wrong-type", where, "is not an object"))
    return value


class _TranscriptFiles:
    """Where a session's transcript is: what the entry says, mapped into a copied directory, inside the sessions
    directory; else `<session id>.jsonl` there, as OpenClaw falls back.
    """

    def __init__(self, agent: AgentPaths, layout: Layout) -> None:
        self._directory = f"{agent.sessions_dir}/"
        self._layout = layout
        tail = f"/agents/{agent.id}/sessions/"
        known = [self._directory, os.path.realpath(agent.sessions_dir) + "/"]
        self._prefixes = tuple(dict.fromkeys([*known, *(root + tail for root in layout.foreign_roots)]))
        self._older = tuple(f"{place}/" for place in agent.older_sessions)

    def of(self, stored: str | None, session_id: str | None) -> str | None:
        if stored is not None and stored.startswith(self._directory) and _is_name(stored[len(self._directory) :]):
            return stored  # nearly always
        older = next((place for place in self._older if stored is not None and stored.startswith(place)), None)
        if stored is not None and older is not None and _is_name(stored.removeprefix(older)):
            return stored
        for name in self._candidates(stored, session_id):
            if _is_name(name):
                return self._directory + name
        return None

    def is_older(self, file: str) -> bool:
        """Whether a transcript is at a former location of the state directory."""
        return file.startswith(self._older)

    def _candidates(self, stored: str | None, session_id: str | None) -> Iterator[str]:
        if stored is not None:
            yield from (stored.removeprefix(prefix) for prefix in self._prefixes if stored.startswith(prefix))
            parts = stored.split("/")
            if len(parts) == 1 or parts[-2] == "sessions":
                yield parts[-1]
        if session_id is not None:
            yield f"{session_id}.jsonl"


def _is_name(name: str) -> bool:
    return name not in {"", ".", ".."} and "/" not in name and is_path(name)


def _row(key: str, entry: Any, agent: str, files: _TranscriptFiles) -> Session:
    if not isinstance(entry, dict):
        problem = Problem("bad-session", key, "its entry is not an object")
        return Session(agent, key, None, None, problems=(problem,), lane_class=classify_session_key(key))
    values, problems = session_entry(key, entry)
    get = values.get
    session_id, status = get("sessionId"), get("status")
    file = files.of(get("sessionFile"), session_id)
    if file is not None and files.is_older(file):
        where = safe(os.path.dirname(file), 200)  # noqa: PTH120 - text of the entry
        problems = (*problems, Problem("former-place", key, f"its transcript is in {where}, and OpenClaw uses it"))
    return listed_session(
        agent,
        key,
        values,
        session_id=session_id,
        file=file,
        status=status,
        updated_at=get("updatedAt"),
        started_at=get("startedAt"),
        ended_at=get("endedAt"),
        problems=problems,
    )
