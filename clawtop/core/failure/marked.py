"""Which failures count against the profile that they happened to."""

from __future__ import annotations

from clawtop.core.model import FailureReason
from clawtop.core.rules import Marking


def marked_reason(
    reason: FailureReason | str | None,
    marking: Marking,
    policy: str | None = None,
    *,
    provider_started: bool = False,
    passing: bool = False,
) -> FailureReason | str | None:
    """The reason under which a failure counts against its profile; None where it does not.

    Args:
        policy: "local" for a run whose failures do not count against its profile: nothing is marked.
            "local_transient": only its passing failures are.
        provider_started: the provider had begun to answer.
        passing: the failure is known to pass.
    """
    if reason is None or policy == "local":
        return None
    if policy == "local_transient":
        spared = marking.spared_locally | marking.spared_if_passing if passing else marking.spared_locally
        if reason in spared:
            return None
    if reason == "timeout" and marking.timeouts_once_started:
        return reason if provider_started else None
    return None if reason in marking.never else reason
