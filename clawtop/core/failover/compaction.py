"""Timeouts around compaction, separate from a model's timeouts (OpenClaw 2026.5.20; threads 342 and 62351).

clawtop's engine never compacts a transcript itself; it can be told to wait until somebody else has.
"""

from __future__ import annotations

from clawtop.core.failover.decision import Signals
from clawtop.core.model import FailureReason


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
