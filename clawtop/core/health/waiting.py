"""Unanswered messages, and runs with no activity: the clearest signs that a bot is silent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum

from clawtop.core.model import Event, EventKind, Exchange, Session, Snapshot, TurnOutcome, WitnessKind
from clawtop.core.session.activity import last_sign, lost_turn, running_since
from clawtop.core.session.lanes import LaneClass
from clawtop.core.session.listed import telling, working
from clawtop.values import dataclass

HORIZON_MS = 24 * 3_600_000
"""A message older than a day no longer counts as waiting."""

TOGETHER_MS = 20_000

_BACKGROUND = frozenset({"cron", "cron-nested", "heartbeat", "subagent", "nested"})


class Doubt(StrEnum):
    """Why a message without an answer may leave nobody waiting: it may not be meant for the bot (GROUP), a run may be
    working on it (RUN), or a person may have stopped its turn (STOP).
    """

    GROUP = "group"
    RUN = "run"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A person's message that no answer, queued turn or running turn covers.

    Attributes:
        since: when it came. length: in characters; 0 where its text never reached the transcript.
        outcome: what became of its turn: open (none ran), failed, timed out, dropped.
        doubt: why nobody may be waiting; None: somebody is.
    """

    agent: str
    session: str
    since: int
    length: int
    outcome: TurnOutcome
    error: str | None = None
    doubt: Doubt | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Unanswered messages, how many were left unanswered on purpose, and those for which it is unknown."""

    unanswered: tuple[Unanswered, ...] = ()
    silent: int = 0
    untold: tuple[Unanswered, ...] = ()


@dataclass(frozen=True, slots=True)
class Hung:
    """A run that shows no sign of life, is reported as stuck by the gateway, or lasts very long.

    Attributes:
        since: when it began. quiet_ms: since its last sign of life.
        complaint: what the gateway says about it. background: no person is waiting for it.
        only_long: it shows signs of life, but has lasted longer than the gateway would allow a silent run.
    """

    agent: str
    session: str
    since: int | None
    quiet_ms: int
    complaint: str | None
    background: bool
    only_long: bool = False


def waiting(snapshot: Snapshot, now: int) -> Waiting:
    """Check the last message of each session, and the inputs that a dead gateway left behind."""
    found: list[Unanswered] = []
    silent = 0
    gone = snapshot.gateway.state.is_gone
    for session in telling(snapshot.sessions):
        left = _left_input(session) if gone else None
        verdict = _last_message(session, left, now)
        if isinstance(verdict, Unanswered):
            found.append(verdict)
        elif verdict is TurnOutcome.SILENT:
            silent += 1
    found.sort(key=lambda item: item.since)
    sure = tuple(one for one in found if one.doubt is None)
    return Waiting(sure, silent, tuple(one for one in found if one.doubt is not None))


def _last_message(session: Session, left: int | None, now: int) -> Unanswered | TurnOutcome | None:
    """None: nobody waits. SILENT: no answer is intended. `left`: of `_left_input`."""
    doubt = Doubt.GROUP if session.lane_class == LaneClass.CHANNEL else None
    if left is not None and now - left <= HORIZON_MS:
        return Unanswered(session.agent, session.key, left, 0, TurnOutcome.OPEN, doubt=doubt)
    lost = _lost(session)
    if lost is not None and now - lost <= HORIZON_MS:
        return Unanswered(session.agent, session.key, lost, 0, TurnOutcome.FAILED, doubt=doubt)
    last = next((e for e in reversed(session.exchanges) if e.is_of_a_person or e.by == "unaddressed"), None)
    if last is None or now - last.asked_at > HORIZON_MS:
        return None
    if last.outcome in (TurnOutcome.ANSWERED, TurnOutcome.TOLD):
        return None
    if last.outcome is TurnOutcome.SILENT or last.by == "unaddressed":
        return TurnOutcome.SILENT
    outcome = _outcome(last, session)
    if outcome is TurnOutcome.ANSWERED or session.active is True:
        return None
    if outcome is TurnOutcome.STOPPED and _was_stopped(session):
        return TurnOutcome.SILENT
    doubt = _doubt(last, outcome, session)
    return Unanswered(session.agent, session.key, last.asked_at, last.length, outcome, last.error, doubt)


def _doubt(last: Exchange, outcome: TurnOutcome, session: Session) -> Doubt | None:
    """Why nobody may be waiting for an answer to the message. A turn that failed was to give one."""
    if outcome is TurnOutcome.STOPPED:
        return Doubt.STOP
    if outcome is not TurnOutcome.OPEN:
        return None
    if session.active is None:
        return Doubt.RUN
    is_group = last.by == "group" or (last.by == "user" and session.lane_class == LaneClass.CHANNEL)
    return Doubt.GROUP if is_group else None


def _lost(session: Session) -> int | None:
    """Since when a person has been waiting whose turn died with its gateway and whose message is in no transcript."""
    turn = lost_turn(session)
    if turn is None or turn.since is None or session.lane_class in _BACKGROUND:
        return None
    since = turn.since
    return since if all(one.asked_at < since - TOGETHER_MS for one in session.exchanges) else None


def _outcome(last: Exchange, session: Session) -> TurnOutcome:
    """What became of the message, by the run that took it."""
    end = last.ended_at if last.ended_at is not None else last.asked_at
    for turn in reversed(session.turns):
        if abs(turn.at - end) <= TOGETHER_MS or (turn.since is not None and turn.since <= end <= turn.at):
            if turn.outcome is TurnOutcome.ANSWERED and last.outcome is TurnOutcome.OPEN and turn.at < last.asked_at:
                continue
            return turn.outcome if last.outcome is not TurnOutcome.FAILED else last.outcome
    if last.outcome is TurnOutcome.STOPPED and session.status == "timeout":
        return TurnOutcome.TIMED_OUT
    return last.outcome


def _was_stopped(session: Session) -> bool:
    """Whether a person ended the run: OpenClaw stores "killed" for an abort that was asked for."""
    return session.status == "killed" or session.aborted_last_run is True


def _left_input(session: Session) -> int | None:
    """Since when a message has been in the queue of its gateway, which is gone."""
    inputs = [w.at for w in session.witnesses if w.kind is WitnessKind.INPUT and w.at is not None]
    return min(inputs) if inputs else None


def hung(snapshot: Snapshot, now: int) -> Iterator[Hung]:
    """Runs that were silent for longer than the warn limit, that the gateway complains about, or that are past the
    limit at which it aborts runs without progress. Runs of clawtop's engines have their own limits.
    """
    limits = snapshot.config.attention
    ours = {holder.session_file for holder in snapshot.holders if holder.source == "clawtop"}
    told = complaints(snapshot.events, now)
    for session in working(snapshot.sessions):
        if session.file in ours:
            continue
        since = running_since(session)
        signs = (last_sign(session), session.updated_at if session.status == "running" else None, since)
        last = max((moment for moment in signs if moment is not None), default=None)
        complaint = complaint_of(session, told)
        quiet = now - last if last is not None else 0
        long = since is not None and now - since >= limits.abort_ms
        if complaint is None and quiet <= limits.warn_ms and not long:
            continue
        yield Hung(
            session.agent,
            session.key,
            since,
            quiet,
            complaint.text if complaint is not None else None,
            session.lane_class in _BACKGROUND,
            only_long=complaint is None and quiet <= limits.warn_ms,
        )


RECENT_COMPLAINT_MS = 5 * 60_000
"""OpenClaw repeats its complaints less and less often; after this long the turn's own age decides."""


def complaints(events: Iterable[Event], now: int) -> Mapping[str, Event]:
    """Recent complaints of gateways, by session key. A long turn that nobody waits for is not a complaint yet."""
    return {
        event.session_key: event
        for event in events
        if event.kind is EventKind.STUCK and event.session_key is not None and now - event.at <= RECENT_COMPLAINT_MS
        if not event.text.startswith("long-running") or "queued" in event.text
    }


def complaint_of(session: Session, told: Mapping[str, Event]) -> Event | None:
    """The gateway's complaint about the run that is going on; one from before it began is about another run."""
    found, began = told.get(session.key), running_since(session)
    return None if found is None or (began is not None and found.at < began) else found
