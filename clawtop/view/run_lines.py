"""A driven run, in lines: its progress, the profiles it asked, what happened, the reply."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from functools import lru_cache

from clawtop.core.model import Event, EventKind, PromptHolder, Session
from clawtop.redaction import masked, whole_words
from clawtop.text import safe, shown
from clawtop.view.fitting import wrapped
from clawtop.view.humanize import clock_time, countdown, span
from clawtop.view.line import EMPTY, Line, Piece, Tone, piece
from clawtop.view.run_log import HOLDER, STEPS, RequestLine, RunLog

EVENTS_SHOWN = 6
_GAP: Piece = ("  ", Tone.PLAIN)
_OBVIOUS = frozenset(
    {EventKind.RUN_START, EventKind.ATTEMPT, EventKind.ACQUIRE, EventKind.RELEASE, EventKind.RUN_END, EventKind.REPLY}
)
"""Events that the steps and attempts already show."""

_TONES = {
    EventKind.FAILURE: Tone.BAD,
    EventKind.TAKEOVER: Tone.BAD,
    EventKind.MARK_LOST: Tone.BAD,
    EventKind.CONTENDED: Tone.WARN,
    EventKind.WAIT: Tone.WARN,
    EventKind.ROTATE: Tone.WARN,
    EventKind.FALLBACK: Tone.WARN,
}


def run_title(log: RunLog, place: int, of: int) -> Line:
    """The heading above the run."""
    which = f"  {place} of {of}" if of > 1 else ""
    return (
        (" Run ", Tone.ACCENT),
        (safe(log.request.session, 60), Tone.STRONG),
        (f"  {log.run_id}{which}", Tone.DIM),
    )


def run_lines(
    log: RunLog,
    now: int,
    zone: tzinfo | None,
    width: int,
    *,
    holders: Sequence[PromptHolder] = (),
    session: Session | None = None,
) -> tuple[Line, ...]:
    """Everything about the run; `now` in ms since the epoch. `holders` and `session` say what it may wait for."""
    lines: list[Line] = [
        *wrapped(_wish(log), width, 2),
        *wrapped(_steps(log, now), width, 2),
        *wrapped(_time(log, now), width, 2),
    ]
    if log.account is not None:
        profile, until = log.account
        words = f"‖ every account is cooling; {safe(profile, 60)} is usable again in {countdown(until, now)}"
        lines += wrapped(piece(words, Tone.WARN), width, 2)
    elif log.end is None and log.step == HOLDER:
        lines += wrapped(_queue(log, holders, session), width, 2)
    if log.attempts:
        lines += [EMPTY, piece("Attempts", Tone.HEAD)]
        lines += [line for attempt in log.attempts for line in wrapped(_attempt(attempt, now), width, 5)]
    told = [event for event in log.events if event.kind not in _OBVIOUS][-EVENTS_SHOWN:]
    if told:
        lines += [EMPTY, piece("Events", Tone.HEAD)]
        lines += [line for event in told for line in wrapped(_event(event, zone), width, 10)]
    lines += [EMPTY, *_message(log, width), *_reply(log, width)]
    if log.end is not None:
        lines += [EMPTY, *(part for line in log.end for part in wrapped(line, width, 2))]
    return tuple(lines)


def _wish(log: RunLog) -> Line:
    request = log.request
    facts = [f"agent {safe(request.agent or 'default', 30)}"]
    facts += [f"lane {safe(request.lane, 30)}"] if request.lane else []
    facts += [f"model {safe(request.model, 60)} first"] if request.model else []
    facts.append(f"when the session is busy: {request.on_contention}")
    return piece(" · ".join(facts), Tone.DIM)


def _steps(log: RunLog, now: int) -> Line:
    out: list[Piece] = []
    for step in STEPS:
        if log.end is None and step == log.step:
            out += [(f"▶ {step}", Tone.INFO), (f" {span(max(0, now - log.step_since))}", Tone.STRONG), _GAP]
        elif step in log.passed:
            out += [(f"✓ {step}", Tone.OK), _GAP]
        elif log.end is not None and step == log.step:
            out += [(f"✗ {step}", Tone.BAD), _GAP]
        else:
            out += [(f"· {step}", Tone.FAINT), _GAP]
    return tuple(out[:-1])


def _time(log: RunLog, now: int) -> Line:
    spent = span(max(0, (log.ended_at or now) - log.began))
    if log.end is not None:
        return piece(f"took {spent}", Tone.DIM)
    if log.request.timeout_s is None:
        return ((f"{spent} so far", Tone.PLAIN), (", no deadline for the turn", Tone.DIM))
    until = log.began + round(log.request.timeout_s * 1000)
    return ((f"{spent} so far", Tone.PLAIN), (f", gives up in {countdown(until, now)}", Tone.WARN))


def _queue(log: RunLog, holders: Sequence[PromptHolder], session: Session | None) -> Line:
    """The run's place in line, and behind whom; empty if it is not waiting."""
    for holder in holders:
        ahead = [waiter.run_id for waiter in holder.waiters]
        if log.run_id in ahead:
            who = f"run {safe(holder.run_id, 20)}" if holder.run_id else f"pid {holder.pid or 'unknown'}"
            lane = f", lane {safe(holder.lane, 30)}" if holder.lane else ""
            place = ahead.index(log.run_id) + 1
            return piece(f"‖ {place} in line behind {who} (pid {holder.pid}{lane}, {safe(holder.phase)})", Tone.WARN)
    if session is not None and session.active:
        return piece(f"‖ OpenClaw is working in it: {shown(session.active_how)}", Tone.WARN)
    return piece(f"‖ {shown(log.waits_for)}", Tone.WARN) if log.waits_for else EMPTY


def _attempt(attempt: RequestLine, now: int) -> Line:
    took = span(max(0, (attempt.ended or now) - attempt.began))
    if attempt.ended is None:
        state: Piece = (f"▶ {took}", Tone.INFO)
    elif attempt.ok:
        state = (f"✓ {took} {shown(attempt.verdict)}", Tone.OK)
    else:
        state = (f"✗ {took} {shown(attempt.verdict)}", Tone.BAD)
    profile = safe(attempt.profile, 40) if attempt.profile else "no profile"
    return (
        (f"{attempt.number:>3}  ", Tone.DIM),
        (f"{profile}  ", Tone.STRONG),
        (f"{safe(attempt.model)}  ", Tone.DIM),
        state,
    )


def _event(event: Event, zone: tzinfo | None) -> Line:
    return (
        (f"{clock_time(event.at, zone)}  ", Tone.DIM),
        (f"{event.kind} ", _TONES.get(event.kind, Tone.INFO)),
        (shown(event.text), Tone.PLAIN),
    )


def _message(log: RunLog, width: int) -> list[Line]:
    lines: list[Line] = [piece("You", Tone.HEAD)]
    return lines + _prose(log.request.message, width, Tone.DIM)


def _reply(log: RunLog, width: int) -> list[Line]:
    """The reply up to its last whole word: half a secret would not be recognised."""
    text = log.text
    if log.end is None:
        text = text[: whole_words(text)]
    void = f"  ({log.voided} characters of a failed attempt were discarded)" if log.voided else ""
    head: Line = (("Reply", Tone.HEAD), (void, Tone.WARN))
    return [EMPTY, head, *_prose(text, width, Tone.PLAIN)] if text or void else []


def _prose(text: str, width: int, tone: Tone) -> list[Line]:
    return [line for row in masked(text).split("\n") for line in _paragraph(row, width, tone)]


@lru_cache(maxsize=1024)
def _paragraph(row: str, width: int, tone: Tone) -> tuple[Line, ...]:
    """Cached: while a reply streams, only the last paragraph changes."""
    return tuple(wrapped(piece(safe(row.replace("\t", "    ")), tone), width))
