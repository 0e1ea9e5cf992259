"""What OpenClaw decides after an attempt, by version: next account, next model, or surface the error.

`decision` holds the rules of clawtop's engine, which under `timeouts = rotate` are those of 2026.5; later versions
leave timeouts of a harness to the harness (2026.6.11), and end a run whose budget is over (2026.9).
"""

from __future__ import annotations

from clawtop.core.failover.decision import Action, AttemptStage, Decision, Signals, TimeoutPolicy, decide
from clawtop.core.model import FailureReason
from clawtop.core.rules import RunPolicy
from clawtop.values import dataclass


@dataclass(frozen=True, slots=True)
class Harness:
    """What else is known of the attempt where a harness ran it.

    Attributes:
        owns_transport: the harness talks to the provider itself, and does its own retries.
        budget_over: the run's own time was over.
        interrupted: a signal from outside ended it.
        may_fall_back: the harness says that another model may take a prompt that timed out.
        code: the code under which it failed.
    """

    owns_transport: bool = False
    budget_over: bool = False
    interrupted: bool = False
    may_fall_back: bool = False
    code: str | None = None


NO_HARNESS = Harness()


def openclaw_decides(
    stage: AttemptStage, signals: Signals, policy: RunPolicy, harness: Harness = NO_HARNESS
) -> Decision:
    """What follows an attempt under this version's rules."""
    if not policy.leaves_timeouts_to_harness:
        return decide(stage, signals, TimeoutPolicy.ROTATE)
    if stage is AttemptStage.RETRY_LIMIT:
        return _at_retry_limit(signals, policy)
    if stage is AttemptStage.PROMPT:
        return _after_prompt(signals, policy, harness)
    return _after_assistant(signals, policy, harness)


def _at_retry_limit(signals: Signals, policy: RunPolicy) -> Decision:
    lost = signals.reason is FailureReason.MODEL_NOT_FOUND and policy.escalates_lost_models
    if lost and signals.fallback_configured:
        return Decision(Action.FALLBACK_MODEL, signals.reason)
    return decide(AttemptStage.RETRY_LIMIT, signals, TimeoutPolicy.ROTATE)


def _after_prompt(signals: Signals, policy: RunPolicy, harness: Harness) -> Decision:
    surfaced = Decision(Action.SURFACE_ERROR, signals.reason)
    if signals.external_abort or harness.code in policy.final_codes or (harness.budget_over and policy.budget_ends):
        return surfaced
    if harness.owns_transport and signals.reason is FailureReason.TIMEOUT:
        if policy.budget_ends and harness.may_fall_back and signals.fallback_configured:
            return Decision(Action.FALLBACK_MODEL, FailureReason.TIMEOUT)
        return surfaced
    if policy.certificates_skip_accounts and signals.reason is FailureReason.TLS_CERTIFICATE:
        signals = signals._replace(profile_rotated=True)
    return decide(AttemptStage.PROMPT, signals, TimeoutPolicy.ROTATE)


def _after_assistant(signals: Signals, policy: RunPolicy, harness: Harness) -> Decision:
    surfaced = Decision(Action.SURFACE_ERROR, signals.reason)
    if signals.external_abort or (harness.interrupted and policy.budget_ends) or signals.terminal_format:
        return surfaced
    if (
        policy.certificates_skip_accounts
        and signals.failover_failure
        and signals.reason is FailureReason.TLS_CERTIFICATE
    ):
        return Decision(Action.FALLBACK_MODEL, signals.reason) if signals.fallback_configured else surfaced
    if not _turns(signals, policy, harness):
        return Decision(Action.CONTINUE_NORMAL)
    if not signals.profile_rotated:
        return Decision(Action.ROTATE_PROFILE, signals.reason)
    return Decision(Action.FALLBACK_MODEL, _why(signals)) if signals.fallback_configured else surfaced


def _turns(signals: Signals, policy: RunPolicy, harness: Harness) -> bool:
    """Whether another account or model is asked instead."""
    if harness.budget_over and policy.budget_ends:
        return False
    timed_out = signals.model_timeout
    left_to_harness = harness.owns_transport and (timed_out or signals.reason is FailureReason.TIMEOUT)
    if left_to_harness and not _is_concrete(signals):
        return False
    return timed_out or (signals.failover_failure and not signals.aborted)


def _is_concrete(signals: Signals) -> bool:
    return signals.failover_failure and signals.reason not in {None, FailureReason.TIMEOUT}


def _why(signals: Signals) -> FailureReason:
    if _is_concrete(signals) and signals.reason is not None:
        return signals.reason
    return FailureReason.TIMEOUT if signals.model_timeout else signals.reason or FailureReason.UNKNOWN


def remembered(
    previous: FailureReason | None, reason: FailureReason | None, policy: RunPolicy, *, timed_out: bool
) -> FailureReason | None:
    """The failure that a retry is remembered by."""
    late = FailureReason.TIMEOUT if timed_out else None
    return reason or ((previous or late) if policy.keeps_first_reason else (late or previous))
