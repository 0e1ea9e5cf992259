"""What OpenClaw does after a failed attempt, step by step and by version; `openclaw_decision` holds its decision.

The steps are in the order it takes them: at `AwaitMark` it waits for the auth store before it continues,
which clawtop's engine (`steps`) never does.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from clawtop.core.failover.decision import Action, AttemptStage, Decision, Signals
from clawtop.core.failover.openclaw_decision import NO_HARNESS, Harness, openclaw_decides, remembered
from clawtop.core.failover.steps import OPENCLAW_CAPS, Backoff, Log, MarkFailure, Rotate
from clawtop.core.failure.dialect import DIALECTS
from clawtop.core.failure.failover_error import SUSPENDING
from clawtop.core.failure.retry_evidence import Span, limit_window
from clawtop.core.generations import Semantics
from clawtop.core.model import FailureReason
from clawtop.values import dataclass

_CREDENTIALS = frozenset({FailureReason.AUTH, FailureReason.AUTH_PERMANENT, FailureReason.SESSION_EXPIRED})
_SAYS_NOTHING = frozenset({None, FailureReason.NO_ERROR_DETAILS, FailureReason.UNCLASSIFIED, FailureReason.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt that did not simply succeed.

    Attributes:
        mark: the reason under which its account is marked; None: it is not.
        words: the error's text; None where the provider gave no answer at all.
        status: as the provider gave it.
        replayable: the attempt may be repeated: it has had no effect yet.
        same_model, same_idle: the run may ask the same account again, after a short limit, or after silence (2026.6).
        classified: the error came with its class, so it is raised as it is.
        now: ms since the epoch, for the times that `words` name.
    """

    signals: Signals
    harness: Harness = NO_HARNESS
    mark: FailureReason | None = None
    words: str | None = None
    status: int | None = None
    replayable: bool = True
    same_model: bool = False
    same_idle: bool = False
    classified: bool = False
    now: int = 0


@dataclass(frozen=True, slots=True)
class RotationCounts:
    """What a run remembers: accounts it rotated away from, empty answers, and the last failure."""

    overloads: int = 0
    rate_limits: int = 0
    empty: int = 0
    last: FailureReason | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """What is available to the run. `rotated`: another account; `again`: the same account may be asked again."""

    rotated: bool
    again: bool = False


@dataclass(frozen=True, slots=True)
class RefreshLogin:
    """The account's login is refreshed, if it can be."""


@dataclass(frozen=True, slots=True)
class CheckCap:
    """The run counts this rotation for a rate limit, and may go to the next model instead."""


@dataclass(frozen=True, slots=True)
class SameAccount:
    """Ask whether the same account may be asked again. `wait_s`: what the provider asks for."""

    wait_s: float | None


@dataclass(frozen=True, slots=True)
class AwaitMark:
    """The run waits until the mark is in the auth store."""


OpenClawStep = RefreshLogin | CheckCap | SameAccount | Rotate | MarkFailure | AwaitMark | Backoff | Log


class EndKind(StrEnum):
    """RETRY: another attempt. FAIL: a classified failure, after which the model chain may continue.
    RAISE: the original error. PROCEED: the attempt's result is kept.
    """

    RETRY = "retry"
    FAIL = "fail"
    RAISE = "raise"
    PROCEED = "proceed"


@dataclass(frozen=True, slots=True)
class End:
    """How the handling of the attempt ends.

    Attributes:
        reason, status: of the failure, for FAIL.
        suspend: the session is suspended; None where OpenClaw leaves that open.
        same: the retry goes to the same account: after a short limit, after silence, or after an empty answer.
        trace: what the run's trace says of the attempt; None: nothing.
    """

    kind: EndKind
    reason: FailureReason | None = None
    status: int | None = None
    suspend: bool | None = None
    same: str | None = None
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class Course:
    """The steps after an attempt, how they end, and what the run remembers then."""

    steps: tuple[OpenClawStep, ...]
    end: End
    counts: RotationCounts
    first: Decision

    @property
    def last(self) -> Decision:
        """The end result."""
        logged = [step for step in self.steps if isinstance(step, Log)]
        return Decision(logged[-1].action, logged[-1].reason) if logged else self.first

    @property
    def waits_for_mark(self) -> bool:
        """The run continues, or reports to its user, only once the mark is in the auth store."""
        return any(isinstance(step, AwaitMark) for step in self.steps)


def openclaw_course(
    stage: AttemptStage, ended: Ended, counts: RotationCounts, answers: Answers, rules: Semantics
) -> Course:
    """What this version does after the prompt call failed, or after an answer that is an error."""
    walk = _Walk(ended, counts, answers, rules)
    return walk.prompt() if stage is AttemptStage.PROMPT else walk.assistant()


class _Walk:
    """One course in the making: `_steps` grows, `_counts` follows."""

    def __init__(self, ended: Ended, counts: RotationCounts, answers: Answers, rules: Semantics) -> None:
        self._ended, self._signals, self._answers = ended, ended.signals, answers
        self._policy, self._dialect = rules.policy, DIALECTS[rules.reading]
        self._counts = counts
        self._steps: list[OpenClawStep] = []

    # --- an answer that is an error ------------------------------------------------------------------------------

    def assistant(self) -> Course:
        first = self._decide(AttemptStage.ASSISTANT)
        if not self._ended.replayable and self._policy.needs_replay:
            return self._course(End(EndKind.PROCEED), first)
        silent = self._is_silent()
        if silent and self._says_nothing() and self._counts.empty < self._policy.empty_retries:
            self._counts = replace(self._counts, empty=self._counts.empty + 1)
            return self._course(End(EndKind.RETRY, same="empty"), first)
        escalates = self._policy.empty_is_unknown and self._signals.fallback_configured
        if silent and self._signals.reason is None and escalates:
            first = Decision(Action.FALLBACK_MODEL, FailureReason.UNKNOWN)
        refreshes = self._policy.refreshes_logins and not self._ended.harness.interrupted
        if refreshes and self._signals.reason in _CREDENTIALS:
            self._steps.append(RefreshLogin())
        decision = first
        if first.action is Action.ROTATE_PROFILE:
            end = self._rotated()
            if end is not None:
                return self._course(end, first)
            self._steps += [AwaitMark()] if self._ended.mark else []
            decision = self._decide(AttemptStage.ASSISTANT, spent=True)
        return self._course(self._ended_as(decision, first), first)

    def _says_nothing(self) -> bool:
        reason = self._signals.reason
        return reason in _SAYS_NOTHING or (self._policy.empty_server_errors and reason is FailureReason.SERVER_ERROR)

    def _is_silent(self) -> bool:
        """An empty answer in an attempt that was not cut short."""
        signals, harness = self._signals, self._ended.harness
        cut = signals.aborted or signals.external_abort or signals.timed_out or signals.idle_timed_out
        return bool(self._policy.empty_retries) and self._ended.words is not None and not (cut or harness.budget_over)

    def _rotated(self) -> End | None:
        """The steps to another account; None if there is none."""
        signals, reason = self._signals, self._signals.reason
        if reason is FailureReason.RATE_LIMIT and self._ended.same_model and self._asks_again():
            self._remember()
            return End(EndKind.RETRY, same="rate_limit")
        if reason is FailureReason.OVERLOADED:
            self._counts = replace(self._counts, overloads=self._counts.overloads + 1)
            past = self._policy.capped and self._counts.overloads > (OPENCLAW_CAPS.overloaded or 0)
            if past and signals.fallback_configured:
                self._steps += [MarkFailure(self._ended.mark), AwaitMark()] if self._ended.mark else []
                self._steps.append(Log(Action.FALLBACK_MODEL, reason))
                return End(EndKind.FAIL, reason, self._status(reason), None, trace=self._trace("error"))
        capped = self._capped() if reason is FailureReason.RATE_LIMIT else None
        if capped is not None:
            return capped
        self._advance()
        if self._answers.rotated:
            self._remember()
            self._steps.append(Log(Action.ROTATE_PROFILE, reason))
            self._steps += [Backoff(0)] if self._policy.pauses else []
            return End(EndKind.RETRY, trace=self._trace("rotate_profile"))
        if signals.idle_timed_out and self._ended.same_idle and not signals.fallback_configured:
            self._remember()
            return End(EndKind.RETRY, same="idle_timeout")
        return None

    def _asks_again(self) -> bool:
        window = limit_window(self._ended.words or "", self._ended.now, status_is_short=False)
        if window.span is not Span.SHORT:
            return False
        self._steps.append(SameAccount(window.wait_s))
        return self._answers.again

    def _capped(self) -> End | None:
        """A rate limit past the rotation cap: the next model, without a mark."""
        if not self._policy.capped:
            return None
        self._steps.append(CheckCap())
        limit = OPENCLAW_CAPS.rate_limited or 0
        if self._counts.rate_limits < limit or not self._signals.fallback_configured:
            return None
        self._steps.append(Log(Action.FALLBACK_MODEL, FailureReason.RATE_LIMIT))
        return End(EndKind.FAIL, FailureReason.RATE_LIMIT, self._default_status(FailureReason.RATE_LIMIT))

    def _advance(self) -> None:
        mark = [MarkFailure(self._ended.mark)] if self._ended.mark else []
        if mark and self._policy.marks_first:
            self._steps += [*mark, AwaitMark(), Rotate()]
        else:
            self._steps += [Rotate(), *mark]
        if self._answers.rotated and self._signals.reason is FailureReason.RATE_LIMIT:
            self._counts = replace(self._counts, rate_limits=self._counts.rate_limits + 1)

    def _ended_as(self, decision: Decision, first: Decision) -> End:
        signals = self._signals
        stopped = signals.external_abort or self._ended.harness.interrupted or signals.timed_out
        if decision.action is Action.SURFACE_ERROR:
            self._steps.append(Log(Action.SURFACE_ERROR, decision.reason))
        fails = decision.action is Action.SURFACE_ERROR and not stopped and signals.failover_failure
        if decision.action is Action.FALLBACK_MODEL or fails:
            reason = decision.reason or FailureReason.UNKNOWN
            status = self._status(reason)
            if decision.action is Action.FALLBACK_MODEL:
                self._steps += [Backoff(0)] if self._policy.pauses else []
                self._steps.append(Log(Action.FALLBACK_MODEL, reason))
            word = "fallback_model" if first.action is Action.FALLBACK_MODEL else "error"
            return End(EndKind.FAIL, reason, status, reason in SUSPENDING, trace=self._trace(word))
        self._steps += [Log(Action.CONTINUE_NORMAL, None)] if self._policy.logs_continuing else []
        return End(EndKind.PROCEED)

    # --- a prompt call that failed -------------------------------------------------------------------------------

    def prompt(self) -> Course:
        first = decision = self._decide(AttemptStage.PROMPT)
        signals, reason = self._signals, self._signals.reason
        suspend = reason in SUSPENDING
        if self._policy.refreshes_logins and self._ended.harness.code not in self._policy.final_codes:
            self._steps.append(RefreshLogin())
        if first.action is Action.ROTATE_PROFILE:
            capped = self._capped() if reason is FailureReason.RATE_LIMIT else None
            if capped is not None:
                return self._course(capped, first)
            self._advance()
            if self._answers.rotated:
                self._remember(timed_out=False)
                self._steps.append(Log(Action.ROTATE_PROFILE, reason))
                return self._course(End(EndKind.RETRY, trace=self._trace("rotate_profile")), first)
            decision = self._decide(AttemptStage.PROMPT, spent=True)
        elif self._ended.mark:
            self._steps.append(MarkFailure(self._ended.mark))
        self._steps += [AwaitMark()] if self._ended.mark else []
        self._steps.append(Log(decision.action, decision.reason))
        trace = self._trace(decision.action.value)
        if self._ended.classified:
            return self._course(End(EndKind.RAISE, trace=trace), first)
        over_time = signals.timed_out or signals.idle_timed_out or self._ended.harness.budget_over
        if decision.action is Action.FALLBACK_MODEL or (over_time and reason is not None):
            why = decision.reason or FailureReason.UNKNOWN
            return self._course(End(EndKind.FAIL, why, self._status(why), suspend, trace=trace), first)
        if over_time:
            return self._course(End(EndKind.FAIL, FailureReason.TIMEOUT, trace=trace), first)
        return self._course(End(EndKind.RAISE, trace=trace), first)

    # --- both ----------------------------------------------------------------------------------------------------

    def _decide(self, stage: AttemptStage, *, spent: bool = False) -> Decision:
        signals = self._signals._replace(profile_rotated=True) if spent else self._signals
        return openclaw_decides(stage, signals, self._policy, self._ended.harness)

    def _remember(self, *, timed_out: bool | None = None) -> None:
        clock = self._signals.timed_out or self._signals.idle_timed_out
        late = clock if timed_out is None else timed_out
        last = remembered(self._counts.last, self._signals.reason, self._policy, timed_out=late)
        self._counts = replace(self._counts, last=last)

    def _status(self, reason: FailureReason) -> int | None:
        if self._ended.status is not None and self._policy.own_status:
            return self._ended.status
        return self._default_status(reason)

    def _default_status(self, reason: FailureReason) -> int | None:
        return self._dialect.default_status.get(reason)

    def _trace(self, word: str) -> str:
        return "timeout" if self._signals.reason is FailureReason.TIMEOUT else word

    def _course(self, end: End, first: Decision) -> Course:
        return Course(tuple(self._steps), end, self._counts, first)
