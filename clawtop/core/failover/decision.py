"""After an attempt: next profile, next model, stop, or carry on.

The rules are OpenClaw 2026.5.18-2026.5.20's (`failover-policy.ts`), with one setting of clawtop's own: what a timeout
does (`TimeoutPolicy`; thread 62351 makes it terminal). The steps that follow a decision are in `steps`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from clawtop.core.model import FailureReason


class TimeoutPolicy(StrEnum):
    """What a timeout does to a run.

    TERMINAL: it ends the run: no rotation, no mark, no other model (thread 62351; the default).
    FALLBACK: the next model, without rotation and without a mark (thread 342).
    ROTATE: what OpenClaw does up to 2026.6.11: the assistant side rotates, the prompt side falls back.
    """

    TERMINAL = "terminal"
    FALLBACK = "fallback"
    ROTATE = "rotate"


class AttemptStage(StrEnum):
    """Where an attempt ended: the prompt call itself, the assistant's answer, or the run's iteration limit."""

    PROMPT = "prompt"
    ASSISTANT = "assistant"
    RETRY_LIMIT = "retry_limit"


class Action(StrEnum):
    """What follows an attempt, in OpenClaw's words."""

    ROTATE_PROFILE = "rotate_profile"
    FALLBACK_MODEL = "fallback_model"
    SURFACE_ERROR = "surface_error"
    CONTINUE_NORMAL = "continue_normal"
    RETURN_ERROR_PAYLOAD = "return_error_payload"


class Decision(NamedTuple):
    """An action and the failure it answers."""

    action: Action
    reason: FailureReason | None = None


class Signals(NamedTuple):
    """What is known about an attempt that did not simply succeed.

    Attributes:
        reason: the classified failure, if there is one.
        failover_failure: the error is one that another profile or model could cure.
        fallback_configured: the candidate chain has another model.
        profile_rotated: rotation was tried for this failure and found no profile.
        aborted: the attempt was aborted, by whomever; external_abort: by the user or the caller.
        timed_out: the attempt's time was over; idle_timed_out: the stream was silent for too long.
        timed_out_during_compaction, timed_out_during_tool: what was going on when the time was over.
        format_retry_allowed: the provider adapter can repair a `format` failure, so it is worth a retry.
        every_account: each account of this model would meet the failure (`core.failure.engine_reason`).
        endpoint_down: the account's endpoint failed for others too: its further accounts are not asked.
    """

    reason: FailureReason | None = None
    failover_failure: bool = False
    fallback_configured: bool = False
    profile_rotated: bool = False
    aborted: bool = False
    external_abort: bool = False
    timed_out: bool = False
    idle_timed_out: bool = False
    timed_out_during_compaction: bool = False
    timed_out_during_tool: bool = False
    format_retry_allowed: bool = False
    every_account: bool = False
    endpoint_down: bool = False

    @property
    def terminal_format(self) -> bool:
        """The request itself is malformed: no other profile or model would take it."""
        return self.failover_failure and self.reason is FailureReason.FORMAT and not self.format_retry_allowed

    @property
    def model_timeout(self) -> bool:
        """The model did not answer in time: not a tool, and not a compaction."""
        return self.idle_timed_out or (
            self.timed_out and not self.timed_out_during_compaction and not self.timed_out_during_tool
        )

    @property
    def any_timeout(self) -> bool:
        """A time limit expired, or the failure is a timeout (`timedOut`, or reason `timeout`: thread 62351)."""
        return self.timed_out or self.idle_timed_out or self.reason is FailureReason.TIMEOUT

    @property
    def markable(self) -> bool:
        """The profile is to be marked: the provider's failure is classified, and no time limit expired."""
        return self.failover_failure and self.reason is not None and not self.any_timeout


_NOT_ESCALATED_AT_LIMIT = frozenset(
    {FailureReason.TIMEOUT, FailureReason.MODEL_NOT_FOUND, FailureReason.FORMAT, FailureReason.SESSION_EXPIRED}
)


def decide(stage: AttemptStage, signals: Signals, timeouts: TimeoutPolicy = TimeoutPolicy.TERMINAL) -> Decision:
    """What follows an attempt.

    A user's abort always surfaces. `timeouts` is consulted before everything else that could rotate or fall back;
    under `ROTATE` the answer is OpenClaw 2026.5.20's, row by row.
    """
    if stage is AttemptStage.RETRY_LIMIT:
        return _at_retry_limit(signals)
    if signals.external_abort:
        return Decision(Action.SURFACE_ERROR, signals.reason)
    if timeouts is TimeoutPolicy.TERMINAL and signals.any_timeout:
        return _ended_by_timeout(stage, signals)
    if timeouts is TimeoutPolicy.FALLBACK and _falls_back_on_timeout(stage, signals):
        return _without_rotation(FailureReason.TIMEOUT, signals)
    if stage is AttemptStage.PROMPT:
        return _after_prompt(signals)
    return _after_assistant(signals)


def _at_retry_limit(signals: Signals) -> Decision:
    if signals.fallback_configured and signals.reason and signals.reason not in _NOT_ESCALATED_AT_LIMIT:
        return Decision(Action.FALLBACK_MODEL, signals.reason)
    return Decision(Action.RETURN_ERROR_PAYLOAD)


def _ended_by_timeout(stage: AttemptStage, signals: Signals) -> Decision:
    """A compaction timeout is separate: the run continues with the transcript from before the compaction."""
    only_compaction = (
        stage is AttemptStage.ASSISTANT
        and signals.timed_out_during_compaction
        and not signals.idle_timed_out
        and not signals.failover_failure
    )
    if only_compaction:
        return Decision(Action.CONTINUE_NORMAL)
    return Decision(Action.SURFACE_ERROR, FailureReason.TIMEOUT)


def _falls_back_on_timeout(stage: AttemptStage, signals: Signals) -> bool:
    if signals.model_timeout or (stage is AttemptStage.PROMPT and signals.timed_out):
        return True
    return signals.reason is FailureReason.TIMEOUT and signals.failover_failure and not signals.aborted


def _without_rotation(reason: FailureReason, signals: Signals) -> Decision:
    action = Action.FALLBACK_MODEL if signals.fallback_configured else Action.SURFACE_ERROR
    return Decision(action, reason)


def _after_prompt(signals: Signals) -> Decision:
    curable = signals.failover_failure and not signals.terminal_format
    if curable and not signals.profile_rotated and signals.reason is not FailureReason.TIMEOUT:
        return Decision(Action.ROTATE_PROFILE, signals.reason)
    if curable and signals.fallback_configured:
        return Decision(Action.FALLBACK_MODEL, signals.reason or FailureReason.UNKNOWN)
    return Decision(Action.SURFACE_ERROR, signals.reason)


def _after_assistant(signals: Signals) -> Decision:
    if signals.terminal_format:
        return Decision(Action.SURFACE_ERROR, signals.reason)
    if not (signals.model_timeout or (signals.failover_failure and not signals.aborted)):
        return Decision(Action.CONTINUE_NORMAL)
    if not signals.profile_rotated:
        return Decision(Action.ROTATE_PROFILE, signals.reason)
    if signals.fallback_configured:
        reason = FailureReason.TIMEOUT if signals.model_timeout else signals.reason or FailureReason.UNKNOWN
        return Decision(Action.FALLBACK_MODEL, reason)
    return Decision(Action.SURFACE_ERROR, signals.reason)


def merge_retry_reason(
    previous: FailureReason | None, reason: FailureReason | None, timed_out: bool
) -> FailureReason | None:
    """The failure that a retry is remembered by: this one, else the timeout, else the one before."""
    return reason or (FailureReason.TIMEOUT if timed_out else previous)


def run_iteration_limit(profiles: int) -> int:
    """How many attempts one run may make: 24 and 8 for each profile, within 32 and 160 (all versions)."""
    return min(160, max(32, 24 + 8 * max(1, profiles)))
