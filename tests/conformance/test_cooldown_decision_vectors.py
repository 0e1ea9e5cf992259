"""Candidates whose profiles all cool: attempt, skip or suspend, against the real program."""

from __future__ import annotations

from typing import Any

from clawtop.core.cooldown.stats import schedule_for
from clawtop.core.failover.probing import CooldownDecision, DecisionKind, resolve_cooldown_decision
from clawtop.core.model import ModelRef
from tests.conformance.harness import Row, replay
from tests.support.openclaw_json import stats_from
from tests.support.rules import semantics


@replay("cooldown-decision")
def test_same_decision(row: Row) -> None:
    given = row.input
    candidate = ModelRef(given["candidate"]["provider"], given["candidate"]["model"])
    decision = resolve_cooldown_decision(
        candidate,
        [stats_from(raw) for raw in given["usageStats"].values()],
        given["now"],
        schedule_for(semantics(row.version)),
        is_primary=given["isPrimary"],
        requested_model=given["requestedModel"],
        has_fallbacks=given["hasFallbackCandidates"],
        throttle_open=given["throttleOpen"],
    )
    assert as_openclaw_says(decision, candidate) == row.expected


def as_openclaw_says(decision: CooldownDecision, candidate: ModelRef) -> dict[str, Any]:
    said: dict[str, Any] = {"type": decision.kind.value, "reason": decision.reason.value}
    match decision.kind:
        case DecisionKind.ATTEMPT:
            return {**said, "markProbe": decision.mark_probe}
        case DecisionKind.SKIP:
            return {**said, "error": decision.error}
        case DecisionKind.SUSPEND_SESSION:
            return said
        case DecisionKind.SUSPEND_LANES:
            leader = {"provider": candidate.provider, "model": candidate.model}
            return {**said, "leaderCandidate": leader}
