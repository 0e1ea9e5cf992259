"""Columns of the locks table."""

from __future__ import annotations

from collections.abc import Mapping

from clawtop.core.locks.staleness import proof_words
from clawtop.core.model import Lock, LockKind, Snapshot, VerdictKind
from clawtop.redaction import masked
from clawtop.text import safe, shown
from clawtop.view.columns import Column, Env
from clawtop.view.facts import Facts, base_name, lock_age
from clawtop.view.humanize import age, bar, duration, is_ahead, span
from clawtop.view.line import EMPTY, Line, Tone, piece
from clawtop.view.words import VERDICTS, openclaw_words, said

KIND_WORDS: dict[LockKind, str] = {
    LockKind.SESSION: "session",
    LockKind.AUTH: "auth",
    LockKind.SESSIONS_STORE: "sessions",
    LockKind.OAUTH_REFRESH: "oauth",
    LockKind.GATEWAY: "gateway",
}
CONTENTS = {
    "empty": "empty file",
    "not JSON": "not a JSON file",
    "not an object": "no JSON object",
    "too large": "file too large",
    "not a regular file": "not a file",
    "unreadable": "unreadable file",
}
"""What a lock file without an owner's record contains instead; short, for a column."""
BAR_WIDTH = 6


def lock_name(lock: Lock, env: Env) -> str:
    """What the lock is for, in plain words."""
    session = env.facts.session_of(lock)
    if session is not None:
        return shown(env.facts.row_name(session))
    if lock.file.kind in (LockKind.AUTH, LockKind.SESSIONS_STORE) and lock.file.agent:
        return f"{env.facts.agent_name(lock.file.agent)}: {lock.file.kind.said}"
    return safe(base_name(lock.file.path))


def _name(lock: Lock, env: Env) -> Line:
    return piece(lock_name(lock, env))


def _agent(lock: Lock, env: Env) -> Line:
    return piece(env.facts.agent_name(lock.file.agent), Tone.DIM) if lock.file.agent else EMPTY


def _kind(lock: Lock, _env: Env) -> Line:
    return piece(KIND_WORDS[lock.file.kind], Tone.DIM)


def command_of(lock: Lock) -> str:
    """The owner's program, without its directories; empty when unknown."""
    if lock.owner is None or not lock.owner.argv:
        return ""
    words = [base_name(masked(word)) for word in lock.owner.argv[:2]]
    return shown(words[1] if len(words) > 1 and words[0] in ("node", "bun", "python", "python3") else words[0])


def _owner(lock: Lock, _env: Env) -> Line:
    pid = str(lock.pid) if lock.pid is not None else "unknown"
    command = command_of(lock)
    return ((pid, Tone.PLAIN), (f" {command}" if command else "", Tone.DIM))


def _age(lock: Lock, env: Env) -> Line:
    over = env.facts.over_limit(lock, env.now)
    ahead = is_ahead(lock.since, env.now)
    return piece(age(lock.since, env.now) if ahead else span(lock_age(lock, env.now)), Tone.BAD if over else Tone.PLAIN)


def _limit(lock: Lock, env: Env) -> Line:
    limit = env.facts.hold_limit(lock)
    if limit is None:
        return EMPTY
    share = lock_age(lock, env.now) / limit
    filled, empty = bar(share, BAR_WIDTH)
    tone = Tone.BAD if share > 1 else Tone.WARN if share > 0.5 else Tone.INFO
    return ((filled, tone), (empty, Tone.FAINT), (f" {duration(limit)}", Tone.DIM))


def _verdict(lock: Lock, _env: Env) -> Line:
    return said(VERDICTS[lock.verdict.kind])


def _proof(lock: Lock, _env: Env) -> Line:
    problem = lock.file.content_problem if lock.verdict.kind is not VerdictKind.STALE else None
    return piece(safe(CONTENTS.get(problem, problem) if problem else proof_words(lock.verdict.reasons[:1])), Tone.DIM)


def _openclaw(lock: Lock, _env: Env) -> Line:
    return openclaw_words(lock)


def _path(lock: Lock, env: Env) -> Line:
    return EMPTY if env.grouped else piece(safe(lock.file.path), Tone.DIM)


def _traffic(lock: Lock, env: Env) -> Line:
    count = env.facts.snapshot.lock_traffic.get(lock.file.path, 0)
    return piece(str(count), Tone.DIM) if count else EMPTY


LOCK_COLUMNS: tuple[Column[Lock], ...] = (
    Column("lock", "LOCK", 20, _name, lock_name, grow=16, live=False, middle=True),
    Column("agent", "AGENT", 10, _agent, lambda k, _e: k.file.agent, grow=6, live=False, middle=True),
    Column("kind", "KIND", 8, _kind, lambda k, _e: k.file.kind, rank=5, live=False),
    Column("verdict", "VERDICT", 9, _verdict, lambda k, _e: k.verdict.kind, live=False),
    Column("proof", "PROOF", 15, _proof, lambda k, _e: ",".join(k.verdict.reasons), grow=10, live=False),
    Column("age", "AGE", 6, _age, lambda k, e: -lock_age(k, e.now), right=True),
    Column("limit", "OF LIMIT", BAR_WIDTH + 6, _limit, rank=6),
    Column("owner", "OWNER", 13, _owner, lambda k, _e: k.pid, grow=12, rank=2, live=False),
    Column("openclaw", "OPENCLAW", 10, _openclaw, lambda k, _e: str(k.openclaw.would_remove), rank=3, live=False),
    Column("traffic", "/MIN", 4, _traffic, right=True, rank=7, live=False),
    Column("path", "PATH", 4, _path, rank=8, live=False),
)
"""OF LIMIT: the age against how long a lock of this kind may be held. OPENCLAW: what it will do with the lock.
PATH: only where lines may get long.
"""


def locks_shown_as(snapshot: Snapshot, labels: Mapping[str, str]) -> Mapping[str, str]:
    """Path of each lock -> its name in the table. `labels`: session key -> the operator's."""
    env = Env(Facts(snapshot, snapshot.taken_at, labels=labels), snapshot.taken_at)
    return {lock.file.path: lock_name(lock, env) for lock in snapshot.locks}


def lock_ids(lock: Lock) -> str:
    """The exact path, the session's id and the agent's."""
    return safe(f"{lock.file.path} {lock.file.session_id or ''} {lock.file.agent or ''}")
