"""The recent turns of each session and how they ended, from every source, each turn once.

A trajectory shows attempts, under the id of their run; the log shows a model chain that failed completely, a
takeover and a run that the gateway gave up; a transcript shows what followed a message; a row, its last run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from operator import attrgetter
from typing import NamedTuple

from clawtop.core.model import (
    ENGINE,
    EndedTurn,
    EventKind,
    FailureReason,
    GatewayState,
    Session,
    Snapshot,
    TurnOutcome,
    session_place,
)
from clawtop.core.session.activity import lost_turn
from clawtop.core.session.exchanges import EMPTY_ANSWER
from clawtop.core.session.key import agent_of
from clawtop.core.session.lanes import classify_session_key
from clawtop.core.session.listed import ended_since, telling, with_key
from clawtop.core.session.log_runs import lost_message
from clawtop.values import dataclass

TOGETHER_MS = 20_000
"""Two sources that report an end within this time report the same one."""

FAILURES = frozenset({TurnOutcome.FAILED, TurnOutcome.TIMED_OUT, TurnOutcome.HUNG, TurnOutcome.DROPPED})
SUCCESSES = frozenset({TurnOutcome.ANSWERED, TurnOutcome.SILENT})

_RANK = {
    TurnOutcome.DROPPED: 8,
    TurnOutcome.HUNG: 7,
    TurnOutcome.TIMED_OUT: 6,
    TurnOutcome.STOPPED: 4,
    TurnOutcome.SILENT: 3,
    TurnOutcome.ANSWERED: 2,
    TurnOutcome.FAILED: 2,
    TurnOutcome.TOLD: 1,
    TurnOutcome.OPEN: 0,
    TurnOutcome.UNTOLD: 0,
}
"""Of two outcomes reported for one turn, the more specific one."""

_EMPTY_RANK = 5
"""2026.9.6 stores a run that gave no visible answer as killed, as if a person had stopped it."""


def _rank(turn: EndedTurn) -> int:
    is_empty = turn.outcome is TurnOutcome.FAILED and turn.reason == EMPTY_ANSWER
    return _EMPTY_RANK if is_empty else _RANK[turn.outcome]


_STATUS_OUTCOMES = {
    "done": TurnOutcome.ANSWERED,
    "failed": TurnOutcome.FAILED,
    "timeout": TurnOutcome.TIMED_OUT,
    "killed": TurnOutcome.STOPPED,
}


@dataclass(frozen=True, slots=True)
class RecentTurn:
    """A turn that has ended, with its agent and session."""

    agent: str
    session: str
    lane: str
    turn: EndedTurn

    @property
    def failed(self) -> bool:
        return self.turn.outcome in FAILURES

    @property
    def succeeded(self) -> bool:
        return self.turn.outcome in SUCCESSES


class RecentTurns(NamedTuple):
    """The latest turns one by one, oldest first, and how often each outcome was seen in a longer time."""

    turns: tuple[RecentTurn, ...]
    outcomes: Mapping[TurnOutcome, int]


TRANSCRIPT = "transcript"
_BY_TIME = attrgetter("turn.at", "agent", "session")


def recent_turns(snapshot: Snapshot, now: int, within_ms: int, counted_ms: int) -> RecentTurns:
    """The turns that ended within the last `within_ms`, and the outcomes of those of the last `counted_ms`, which is
    longer: most of these are known from the row alone, and are only counted.
    """
    counted_since, since = now - counted_ms, now - within_ms
    ours = _engines(snapshot, counted_since)
    driven = (session for key in ours for session in with_key(snapshot.sessions, key))
    several = {session_place(session): session for session in chain(telling(snapshot.sessions), driven)}
    restarted = snapshot.gateway.state is GatewayState.LIVE
    found = [
        RecentTurn(session.agent, session.key, session.lane_class, turn)
        for session in several.values()
        for turn in _turns(session, ours.get(session.key, ()), restarted=restarted)
        if counted_since < turn.at <= now
    ]
    found += _unlisted(snapshot, counted_since, now)
    outcomes = Counter(recent.turn.outcome for recent in found)
    found = [recent for recent in found if recent.turn.at >= since]
    for session in ended_since(snapshot.sessions, counted_since):
        outcome, ended = _row_outcome(session), session.ended_at or 0
        if outcome is None or ended > now or session_place(session) in several:
            continue
        outcomes[outcome] += 1
        if ended >= since and (turn := _last_run(session)) is not None:
            found.append(RecentTurn(session.agent, session.key, session.lane_class, turn))
    return RecentTurns(tuple(sorted(found, key=_BY_TIME)), outcomes)


def _unlisted(snapshot: Snapshot, since: int, now: int) -> Iterator[RecentTurn]:
    """Messages that failed before their session was stored: on a full disk, none is."""
    lost = [(event, turn) for event in snapshot.events if (turn := lost_message(event)) and since < turn.at <= now]
    for event, turn in lost:
        key = event.session_key
        if key is not None and not with_key(snapshot.sessions, key):
            yield RecentTurn(agent_of(key) or "?", key, classify_session_key(key), turn)


def _turns(session: Session, ours: Sequence[EndedTurn], *, restarted: bool) -> Iterable[EndedTurn]:
    """The session's turns, each once.

    `restarted`: a gateway is alive, so nothing else reports turns that died with an earlier gateway.
    """
    last = (lost_turn(session) if restarted else None) or _last_run(session)
    rows = () if last is None else (last,)
    if session.turns or session.exchanges or ours:
        return _once((*_told(session, ours), *rows))
    return rows


def _told(session: Session, ours: Iterable[EndedTurn]) -> Iterator[EndedTurn]:
    yield from session.turns
    yield from ours
    for exchange in session.exchanges:
        at, outcome, error = exchange.ended_at, exchange.outcome, exchange.error
        if at is None:  # still open, but an attempt of it has failed
            at, outcome, error = exchange.failed_at, TurnOutcome.FAILED, exchange.failed_with
        if at is not None:
            yield EndedTurn(at, outcome, exchange.run_id, exchange.asked_at, exchange.by, error, TRANSCRIPT)


def _last_run(session: Session) -> EndedTurn | None:
    outcome = _row_outcome(session)
    if outcome is None or session.ended_at is None:
        return None
    return EndedTurn(session.ended_at, outcome, None, session.started_at, None, None, "status")


def _row_outcome(session: Session) -> TurnOutcome | None:
    """How the last run ended, as the row says; None where it tells no end, or one before its start."""
    started, ended = session.started_at, session.ended_at
    if ended is None or (started is not None and ended < started):
        return None
    return _STATUS_OUTCOMES.get(session.status or "")


def _once(told: Iterable[EndedTurn]) -> Iterator[EndedTurn]:
    """Each turn once: by its run id, else by when it ended."""
    runs: dict[str, EndedTurn] = {}
    merged: list[EndedTurn] = []
    others: list[EndedTurn] = []
    for turn in sorted(told, key=lambda turn: turn.at):
        if turn.run_id is None:
            others.append(turn)
            continue
        known = runs.get(turn.run_id)
        if known is not None and known.outcome in SUCCESSES and (turn.since or 0) >= known.at:
            merged.append(known)  # the id of a finished run is reused
            known = None
        runs[turn.run_id] = turn if known is None else _continued(known, turn)
    merged = sorted((*merged, *runs.values()), key=lambda turn: turn.at)
    asked: set[int] = set()  # those that have a message of their own: another message is another turn
    for turn in others:
        is_message = turn.source == TRANSCRIPT
        same = [n for n, known in enumerate(merged) if _is_same(known, turn) and not (is_message and n in asked)]
        nearest = min(same, key=lambda n: abs(merged[n].at - turn.at), default=len(merged))
        if same:
            merged[nearest] = _joined(merged[nearest], turn)
        else:
            merged.append(turn)
        if is_message:
            asked.add(nearest)
    yield from merged


def _continued(known: EndedTurn, later: EndedTurn) -> EndedTurn:
    """The same run, reported again: the last report counts, unless an earlier one is more specific."""
    keeps = _rank(known) > _rank(later) and later.at - known.at <= TOGETHER_MS
    since = known.since if known.since is not None else later.since
    last = replace(known, at=later.at) if keeps else later
    reason = _reason(last.reason, known.reason)
    return replace(last, since=since, reason=reason, trigger=last.trigger or known.trigger)


def _is_same(known: EndedTurn, other: EndedTurn) -> bool:
    if abs(known.at - other.at) <= TOGETHER_MS:
        return True
    return known.since is not None and known.since <= other.at <= known.at


def _joined(known: EndedTurn, other: EndedTurn) -> EndedTurn:
    if _rank(other) > _rank(known):
        first = other.reason if other.reason == EMPTY_ANSWER else known.reason  # it outranks what is joined later
        return replace(known, outcome=other.outcome, reason=_reason(first, other.reason))
    return replace(known, reason=_reason(known.reason, other.reason))


def _reason(first: str | None, second: str | None) -> str | None:
    """The log's word for the kind of failure; where that says little, with the provider's own from the transcript."""
    if first in _VAGUE and second is not None and second not in _VAGUE:
        return f"{first}: {second}"
    return first or second


_VAGUE = frozenset(
    {FailureReason.TIMEOUT, FailureReason.UNKNOWN, FailureReason.UNCLASSIFIED, FailureReason.NO_ERROR_DETAILS}
)
"""OpenClaw calls whatever did not reach a provider a timeout."""


_ENGINE_OUTCOMES = {"reply": TurnOutcome.ANSWERED, "failed": TurnOutcome.FAILED, "coordination": TurnOutcome.FAILED}


def _engines(snapshot: Snapshot, since: int) -> dict[str, list[EndedTurn]]:
    """Turns that clawtop's own engines ran, from the journal."""
    found: dict[str, list[EndedTurn]] = {}
    for event in snapshot.events:
        if event.kind is EventKind.RUN_END and event.source == ENGINE and event.session_key and event.at > since:
            outcome = _ENGINE_OUTCOMES.get(str(event.data.get("outcome")), TurnOutcome.STOPPED)
            if outcome is TurnOutcome.FAILED and event.reason == "timeout":
                outcome = TurnOutcome.TIMED_OUT
            turn = EndedTurn(event.at, outcome, event.run_id, None, "clawtop", event.reason, "journal")
            found.setdefault(event.session_key, []).append(turn)
    return found
