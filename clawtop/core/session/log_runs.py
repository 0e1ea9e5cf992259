"""Runs per session, as a gateway's log shows them.

OpenClaw's command line writes to a gateway's log too, if it is configured with the same file. Lines about lanes are
logged only with `logging.level` debug; a turn that failed for good is logged at every level.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from clawtop.core.model import AccountRetry, EndedTurn, Event, EventKind, TurnOutcome, Witness, WitnessKind
from clawtop.core.session.lanes import session_lane
from clawtop.values import dataclass

KEPT_TURNS = 400


@dataclass(frozen=True, slots=True)
class LoggedRun:
    """What the log last said about a session.

    Attributes:
        running: yes, no, or None if an attempt has ended and the next one, if any, is not logged yet.
        at: time of that line; `since` is that of the run's first line.
        provider, model, profile: asked last; None where a rotation made them unknown.
        retry: the run waits to ask the same account again.
    """

    at: int
    running: bool | None
    what: str
    since: int | None = None
    run_id: str | None = None
    waiting: int | None = None
    provider: str | None = None
    model: str | None = None
    profile: str | None = None
    retry: AccountRetry | None = None

    def witness(self) -> Witness:
        return Witness(
            WitnessKind.LOG,
            self.running,
            self.what,
            at=self.at,
            since=self.since,
            run_id=self.run_id,
            waiting=self.waiting,
            provider=self.provider,
            model=self.model,
            profile=self.profile,
            retry=self.retry,
        )


class LogRuns:
    """Follows a log's events. `runs`: by session key; `turns`: finished ones by session key, oldest first."""

    def __init__(self) -> None:
        self.runs: dict[str, LoggedRun] = {}
        self.turns: list[tuple[str, EndedTurn]] = []

    def follow(self, events: Iterable[Event]) -> None:
        """Take in events, oldest first."""
        for event in events:
            if event.data.get("step") == "start":
                self.runs = {key: _ended(run, event, "its gateway was restarted") for key, run in self.runs.items()}
            elif event.session_key is not None:
                self._of_session(event.session_key, event)
        del self.turns[:-KEPT_TURNS]

    def _of_session(self, key: str, event: Event) -> None:
        known = self.runs.get(key)
        after = _after(key, known, event)
        if after is not None:
            self.runs[key] = after
        turn = _turn(known, event)
        if turn is not None:
            self.turns.append((key, turn))


def _after(key: str, known: LoggedRun | None, event: Event) -> LoggedRun | None:
    """What is known about a session after an event; None if the event says nothing about it."""
    step, data = event.data.get("step"), event.data
    own_lane = event.lane == session_lane(key) or (event.lane or "").startswith(session_lane(key))
    if step == "enqueue" and own_lane:
        return replace(known, waiting=data.get("queueSize")) if known is not None and known.running else known
    if step == "dequeue" and own_lane:
        return _going_on(known, event, "its lane is working on a turn, according to the log", anew=True)
    over = step == "ended" or event.kind is EventKind.RUN_END
    if over or (step == "done" and own_lane and data.get("active", 0) == 0):
        return _ended(known, event, "its turn ended, according to the log")
    if event.kind is EventKind.TAKEOVER:
        return _ended(known, event, "its turn was lost to a takeover, according to the log")
    if step == "error" and own_lane:
        return _ended(known, event, "its attempt failed, according to the log", running=None)
    if step == "state" and "new" in data:
        if data["new"] == "processing":
            return _going_on(known, event, "its gateway is working on it, according to the log")
        return _ended(known, event, f"it is {data['new']}, according to the log") if data["new"] == "idle" else known
    return _after_kind(known, event)


def _after_kind(known: LoggedRun | None, event: Event) -> LoggedRun | None:
    data = event.data
    if event.kind is EventKind.FALLBACK and data.get("over") is True:
        return _ended(known, event, "its last model failed, according to the log")
    if event.kind is EventKind.FALLBACK and data.get("decision") == "candidate_succeeded":
        return _ended(known, event, "a model answered, according to the log")
    if event.kind is EventKind.RUN_START:
        return _going_on(known, event, "its run was registered, according to the log")
    if event.kind is EventKind.ATTEMPT and data.get("step") == "retry":
        retry = AccountRetry(data["number"], data["most"], data["due"], event.reason)
        return replace(_going_on(known, event, f"it is {retry}, according to the log"), retry=retry)
    if event.kind is EventKind.ATTEMPT and event.provider is not None:
        run = _going_on(known, event, "it is waiting for its model, according to the log")
        return replace(run, provider=event.provider, model=event.model, profile=event.profile)
    if event.kind is EventKind.STUCK and data.get("classification") != "stale_session_state":
        began = event.at - data.get("age_ms", 0)
        run = _going_on(known, event, f"its gateway reports a problem: {event.text}")
        return replace(run, since=run.since if known is not None and known.running else began)
    if event.kind is EventKind.RECOVERY and data.get("aborted") == "true":
        return _ended(known, event, "the gateway aborted it, according to the log")
    if event.kind in (EventKind.ROTATE, EventKind.FALLBACK) and known is not None and known.running is not False:
        return replace(known, at=event.at, profile=None, provider=None, model=None, retry=None)
    return None


def _going_on(known: LoggedRun | None, event: Event, what: str, *, anew: bool = False) -> LoggedRun:
    since = event.at if known is None or not known.running or anew else known.since
    waiting = known.waiting if known is not None else None
    run_id = event.run_id or (known.run_id if known is not None and known.running and not anew else None)
    before = known if known is not None and known.running and not anew else None
    return LoggedRun(
        event.at,
        True,
        what,
        since,
        run_id,
        waiting,
        event.provider or (before.provider if before else None),
        event.model or (before.model if before else None),
        event.profile or (before.profile if before else None),
    )


def _ended(known: LoggedRun | None, event: Event, what: str, *, running: bool | None = False) -> LoggedRun:
    since = known.since if known is not None else None
    return LoggedRun(event.at, running, what, since, event.run_id or (known.run_id if known is not None else None))


def lost_message(event: Event) -> EndedTurn | None:
    """The turn of a message that failed before a run could take it; None if the event is about anything else."""
    return _turn(None, event) if event.data.get("step") == "message" else None


def _turn(known: LoggedRun | None, event: Event) -> EndedTurn | None:
    """The turn that ends with this event, if the event itself says how it ended."""
    since = known.since if known is not None else None
    if event.kind is EventKind.TAKEOVER:
        return EndedTurn(event.at, TurnOutcome.DROPPED, event.run_id, since, None, "takeover", "log")
    if event.kind is EventKind.FALLBACK and event.data.get("over") is True:
        outcome = TurnOutcome.TIMED_OUT if event.reason == "timeout" else TurnOutcome.FAILED
        return EndedTurn(event.at, outcome, event.run_id, since, None, event.reason, "log")
    if event.data.get("step") == "message":
        return EndedTurn(event.at, TurnOutcome.FAILED, event.run_id, None, None, event.text, "log")
    if event.kind is EventKind.RECOVERY and event.data.get("aborted") == "true":
        return EndedTurn(event.at, TurnOutcome.HUNG, event.run_id, since, None, "aborted by the gateway", "log")
    return None
