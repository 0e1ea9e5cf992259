"""Columns of the sessions table."""

from __future__ import annotations

from collections.abc import Mapping

from clawtop.core.health.blocked import QUOTA
from clawtop.core.model import Session, TurnOutcome, VerdictKind
from clawtop.text import safe, shown
from clawtop.view.columns import Column, Env
from clawtop.view.facts import Facts
from clawtop.view.humanize import age
from clawtop.view.line import EMPTY, Line, Tone, piece
from clawtop.view.words import STATUSES, SUSPENDED, StateWords, said, session_words


def _key(session: Session, env: Env) -> Line:
    quiet = not session.active and (session.agent, session.key) not in env.facts.blocked
    return piece(shown(env.facts.row_name(session)), Tone.DIM if quiet else Tone.PLAIN)


def _agent(session: Session, env: Env) -> Line:
    return piece(env.facts.agent_name(session.agent), Tone.DIM)


def last_asked(session: Session) -> int | None:
    """When the last message of a person came (ms since the epoch)."""
    return max((each.asked_at for each in session.exchanges if each.is_of_a_person), default=None)


def last_answered(session: Session) -> int | None:
    """When the last answer was given (ms since the epoch)."""
    answered = (each.ended_at for each in session.exchanges if each.outcome is TurnOutcome.ANSWERED)
    return max((at for at in answered if at is not None), default=None)


def last_change(session: Session) -> int | None:
    """When the session last changed, by its list or by a message or an answer in it (ms since the epoch)."""
    if not session.exchanges:
        return session.updated_at
    known = (session.updated_at, last_asked(session), last_answered(session))
    return max((at for at in known if at is not None), default=None)


def _asked(session: Session, env: Env) -> Line:
    at = last_asked(session)
    return piece(age(at, env.now), Tone.DIM) if at is not None else EMPTY


def _answered(session: Session, env: Env) -> Line:
    at, asked = last_answered(session), last_asked(session)
    late = asked is not None and (at is None or at < asked)
    if at is None:
        return piece("never", Tone.WARN) if late else EMPTY
    return piece(age(at, env.now), Tone.WARN if late else Tone.DIM)


def words_of(session: Session, facts: Facts) -> StateWords:
    """The state of a session; while clawtop runs a turn in it, it is running, whatever the session list says."""
    holder = facts.holder_of(session)
    own = holder is not None and holder.source == "clawtop" and holder.phase != "draining"
    if facts.blocked_by(session) == QUOTA:
        return SUSPENDED
    return STATUSES["running"] if own else session_words(session)


def _lane(session: Session, _env: Env) -> Line:
    return piece(safe(session.lane_class), Tone.DIM)


def _status(session: Session, env: Env) -> Line:
    return said(words_of(session, env.facts))


def since(session: Session, facts: Facts) -> int | None:
    """What the session's age counts from: the start of the current turn, else its last change."""
    return facts.turn_since(session) or last_change(session)


def _age(session: Session, env: Env) -> Line:
    start, turn = since(session, env.facts), env.facts.turn_since(session)
    attention = env.facts.snapshot.config.attention
    old = env.now - turn if turn is not None else 0
    tone = Tone.BAD if old > attention.abort_ms else Tone.WARN if old > attention.warn_ms else Tone.DIM
    return piece(age(start, env.now), tone)


SHORT_PHASES: Mapping[str, str] = {
    "waiting-lane": "lane",
    "locking": "lock",
    "prompting": "prompt",
    "streaming": "stream",
    "appending": "append",
    "compacting": "compact",
    "releasing": "leave",
    "draining": "drain",
}
"""Short phases: a seven-digit pid leaves little room."""


def _holder(session: Session, env: Env) -> Line:
    holder = env.facts.holder_of(session)
    if holder is not None:
        who = str(holder.pid) if holder.pid is not None else holder.source
        return piece(shown(f"{who} {SHORT_PHASES.get(holder.phase, holder.phase)}"), Tone.INFO)
    lock = env.facts.lock_of(session)
    if lock is not None:
        pid = lock.pid if lock.pid is not None else "?"
        if lock.verdict.kind is VerdictKind.STALE:
            return piece(safe(f"dead {pid}"), Tone.BAD)
        return piece(safe(f"lock {pid}"), Tone.INFO)
    return EMPTY


def _source(session: Session, env: Env) -> Line:
    holder = env.facts.holder_of(session)
    return piece(safe(holder.source), Tone.DIM) if holder is not None else EMPTY


def _waiters(session: Session, env: Env) -> Line:
    holder = env.facts.holder_of(session)
    return piece(str(len(holder.waiters)), Tone.WARN) if holder and holder.waiters else EMPTY


def _trouble(session: Session, env: Env) -> Line:
    blocked = env.facts.blocked.get((session.agent, session.key))
    codes = [problem.code for problem in session.problems if problem.code != words_of(session, env.facts)[1]]
    if codes or blocked:
        return piece(safe(", ".join([*codes, *([blocked] if blocked else [])])), Tone.BAD if codes else Tone.WARN)
    holder = env.facts.holder_of(session)
    if holder is not None and holder.takeover_risk:
        return piece(safe(holder.takeover_risk), Tone.WARN)
    return EMPTY


def _profile(session: Session, _env: Env) -> Line:
    if session.profile is None:
        return EMPTY
    mark = ("⊙", Tone.ACCENT) if session.profile_source == "user" else ("⊙", Tone.FAINT)
    return (mark, (safe(session.profile), Tone.DIM))


def _model(session: Session, _env: Env) -> Line:
    return piece(safe(session.model), Tone.DIM) if session.model else EMPTY


def _traffic(session: Session, env: Env) -> Line:
    count = env.facts.snapshot.lock_traffic.get(f"{session.file}.lock", 0) if session.file else 0
    return piece(str(count), Tone.DIM) if count else EMPTY


def _by_name(session: Session, env: Env) -> tuple[str, str]:
    """The sort value: the displayed name, ignoring case; equal names are sorted by key."""
    return env.facts.row_name(session).casefold(), session.key


def _by_trouble(session: Session, env: Env) -> str | None:
    return (
        session.problems[0].code if session.problems else env.facts.blocked.get((session.agent, session.key))
    ) or None


SESSION_COLUMNS: tuple[Column[Session], ...] = (
    Column("session", "SESSION", 20, _key, _by_name, grow=12, live=False, middle=True),
    Column("agent", "AGENT", 10, _agent, lambda s, _e: s.agent, grow=6, live=False, middle=True),
    Column("status", "STATUS", 11, _status, lambda s, e: words_of(s, e.facts)[1], live=False),
    Column("age", "AGE", 6, _age, lambda s, e: -(since(s, e.facts) or 0), right=True),
    Column("lane", "LANE", 9, _lane, lambda s, _e: s.lane_class, rank=4, live=False),
    Column("holder", "HELD BY", 12, _holder, grow=4, rank=3, live=False),
    Column("waiters", "WAIT", 4, _waiters, right=True, rank=6, live=False),
    Column("trouble", "TROUBLE", 20, _trouble, _by_trouble, grow=8, live=False),
    Column("asked", "ASKED", 6, _asked, lambda s, _e: -(last_asked(s) or 0), right=True, rank=5),
    Column("answered", "ANSWERED", 8, _answered, lambda s, _e: -(last_answered(s) or 0), right=True, rank=5),
    Column("profile", "PROFILE", 16, _profile, lambda s, _e: s.profile, grow=8, rank=7, live=False, middle=True),
    Column("model", "MODEL", 12, _model, lambda s, _e: s.model, grow=8, rank=8, live=False, middle=True),
    Column("source", "KNOWN FROM", 10, _source, rank=10, live=False),
    Column("traffic", "LK/MIN", 6, _traffic, right=True, rank=9, live=False),
)
"""ASKED, ANSWERED: the age of a person's last message and of the last answer.
LK/MIN: how often the session's lock appeared within a minute (a lower bound)."""


def session_ids(session: Session) -> str:
    """The exact key, the session's id and its pin."""
    return safe(f"{session.key} {session.session_id or ''} {session.profile or ''}")
