"""Timeouts around compaction, separate from a model's timeouts (OpenClaw 2026.5.20; threads 342 and 62351).

clawtop's engine never compacts a transcript itself: of these functions it uses `abort_in_compaction_wait`; the others
are replayed against OpenClaw's rows only.
"""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

from clawtop.core.failover.decision import Signals
from clawtop.core.model import FailureReason
from clawtop.values import dataclass

Messages = TypeVar("Messages")


def is_compaction_timeout(*, timed_out: bool, pending_or_retrying: bool, in_flight: bool) -> bool:
    """Whether a timeout belongs to a compaction rather than to the model."""
    return timed_out and (pending_or_retrying or in_flight)


def on_run_timeout(*, pending_or_retrying: bool, in_flight: bool, grace_used: bool) -> Literal["extend", "abort"]:
    """What a run's timeout does: a running compaction gets one extension, nothing else gets any."""
    compacting = pending_or_retrying or in_flight
    return "extend" if compacting and not grace_used else "abort"


@dataclass(frozen=True, slots=True)
class Transcript(Generic[Messages]):
    """A transcript to continue from: its messages, the session it belongs to, and which of the two it is."""

    messages: Messages
    session_id: str
    source: Literal["current", "pre-compaction"]


def transcript_after_timeout(
    *,
    timed_out_during_compaction: bool,
    before: Messages | None,
    before_session_id: str,
    current: Messages,
    current_session_id: str,
) -> Transcript[Messages]:
    """The transcript before a compaction that timed out, if there is one; else the current one."""
    if timed_out_during_compaction and before is not None:
        return Transcript(before, before_session_id, "pre-compaction")
    return Transcript(current, current_session_id, "current")


def abort_in_compaction_wait(*, user_aborted: bool, fallback_configured: bool) -> Signals:
    """The signals of an abort that hit a run while it waited for a compaction (thread 342).

    It is the prompt's error and is decided like one: a user's abort surfaces, a timeout follows the run's
    `TimeoutPolicy`.
    """
    if user_aborted:
        return Signals(aborted=True, external_abort=True, fallback_configured=fallback_configured)
    return Signals(
        reason=FailureReason.TIMEOUT,
        failover_failure=True,
        fallback_configured=fallback_configured,
        aborted=True,
        timed_out=True,
    )
