"""One turn: a message to a session, from the lane to the reply. All mutable state of a run is here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path

from clawtop.clock import Clock
from clawtop.core.model import FailureReason, ModelRef
from clawtop.core.rotation.pins import Pin
from clawtop.core.session.admission import OnContention
from clawtop.engine.drive.events import Phase, ReplyDiscarded, ReplyText, RunItem, Teller
from clawtop.engine.providers.base import Usage
from clawtop.errors import ClawtopError, UsageError
from clawtop.store.sessions.settings import RunContext, SessionSettings
from clawtop.values import dataclass

NOT_ROTATABLE = frozenset({"appending", "releasing"})
"""Phases in which the reply is already complete: there is nothing left to rotate."""


class UnknownSessionError(UsageError):
    """No session of this name is listed, and none was to be made (exit 64). `near`: names that look like it."""

    def __init__(self, title: str, *, near: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(title, hint=hint)
        self.near = near


class TurnTimeoutError(ClawtopError):
    """The time for the whole turn was over before it had an answer (exit 6)."""

    exit_code = 6


@dataclass(frozen=True, slots=True)
class ResolvedRequest:
    """A `TurnRequest` whose session, models and settings have been looked up.

    Attributes:
        session_file: canonical path of the transcript; it may not exist yet.
        session_key: the key under which OpenClaw lists the session, if any.
        lane: the global lane ("main", "cron", "heartbeat" ...); the session's own lane is derived.
        pin: the auth profile that the session is pinned to.
        compaction_count: how often OpenClaw compacted the session.
        cwd: the workspace that a new transcript names.
        system: a system prompt in place of the session's own.
        settings, context: what OpenClaw keeps about the session, and what it sent in its last run.
    """

    run_id: str
    agent: str
    session_file: Path
    session_id: str
    session_key: str | None
    lane: str
    message: str
    models: tuple[ModelRef, ...]
    pin: Pin
    on_contention: OnContention = OnContention.WAIT
    compaction_count: int = 0
    new_session: bool = False
    cwd: str = ""
    system: str | None = None
    settings: SessionSettings = field(default_factory=SessionSettings)
    context: RunContext = field(default_factory=RunContext)


@dataclass(frozen=True, slots=True)
class TurnAnswer:
    """A turn's reply, written to the transcript.

    Attributes:
        session_file: where it was written: another file than was asked for after a fork.
        attempts: provider requests that the turn took.
        stop_reason: stop, length, toolUse, filter or refusal.
        tool_calls: tools that the model asked for beside its words; they were dropped.
        filtered: what the provider's filter found, where it cut the reply.
        cost: USD for input, output, cacheRead, cacheWrite and total; empty where the config names no prices.
    """

    text: str
    model: ModelRef
    profile: str | None
    usage: Usage
    stop_reason: str
    session_file: Path
    session_id: str
    forked_from: Path | None
    attempts: int
    duration_ms: int
    tool_calls: tuple[str, ...] = ()
    filtered: str | None = None
    cost: Mapping[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class DrivenTurn:
    """A turn under way.

    Attributes:
        deadline: monotonic seconds at which the whole turn is over; None: no limit.
        session_file, session_id: where the turn continues: they change when the session is forked.
        requests: provider requests so far.
        streamed: characters of the reply that the running attempt has streamed.
        endpoint_failures: origin -> consecutive failures of the endpoint; one answer resets them.
        left_out: what was not sent, by model, as reported.
        unstored: a complete reply that could not be written to the transcript.
        stored: the reply that is in the transcript, however the turn ends: it may be cancelled right after.
        overflowed: the largest context window that the conversation did not fit into, in tokens.
        reasons: why the attempts of this round over the models failed.
        limited: (profile, model) that answered this run with a rate limit: this run does not try them again.
        advance: asks the running attempt to end in favour of the next profile; set while that is possible.
    """

    asked: ResolvedRequest
    clock: Clock
    teller: Teller
    hear: Callable[[RunItem], None]
    deadline: float | None
    began: float
    session_file: Path
    session_id: str
    forked_from: Path | None = None
    requests: int = 0
    streamed: int = 0
    phase: str = "waiting-lane"
    phases: list[Phase] = field(default_factory=list)
    advance: Callable[[], str | None] | None = None
    endpoint_failures: dict[str, int] = field(default_factory=dict)
    reasons: list[FailureReason] = field(default_factory=list)
    limited: set[tuple[str, str]] = field(default_factory=set)
    overflowed: int = 0
    unstored: str = ""
    stored: TurnAnswer | None = None
    left_out: list[tuple[ModelRef, tuple[str, ...]]] = field(default_factory=list)

    def enter(self, phase: str) -> None:
        """Report where the run is."""
        self.phase = phase
        step = Phase(phase, self.clock.now_ms())
        self.phases.append(step)
        self.hear(step)

    def said(self, text: str) -> None:
        self.streamed += len(text)
        self.hear(ReplyText(text))

    def discard(self) -> None:
        """The attempt ended without an answer: the text it streamed is void."""
        if self.streamed:
            self.hear(ReplyDiscarded(self.streamed))
        self.streamed = 0

    def left_s(self) -> float | None:
        """Seconds until the deadline; None without one.

        Raises TurnTimeoutError when it has passed.
        """
        if self.deadline is None:
            return None
        left = self.deadline - self.clock.monotonic()
        if left <= 0:
            raise self.timed_out()
        return left

    def timed_out(self) -> TurnTimeoutError:
        """The error of a turn whose time is over, with the phase in which it was: releasing everything follows it."""
        spent = self.clock.monotonic() - self.began
        phase = next((step.name for step in reversed(self.phases) if step.name != "releasing"), self.phase)
        return TurnTimeoutError(
            f"the turn's time is over after {spent:.1f} s, in phase {phase}",
            unchanged="nothing was written to the transcript",
        )

    def elapsed_ms(self) -> int:
        return round((self.clock.monotonic() - self.began) * 1000)
