"""OpenClaw 2026.5.20's small rules: compaction timeouts and the iteration limit of a run, row by row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from clawtop.core.failover.decision import run_iteration_limit
from tests.conformance.harness import Row, replay
from tests.conformance.openclaw_only import is_compaction_timeout, on_run_timeout, transcript_after_timeout


def compaction_timeout(given: Mapping[str, Any]) -> bool:
    return is_compaction_timeout(
        timed_out=given["isTimeout"],
        pending_or_retrying=given["isCompactionPendingOrRetrying"],
        in_flight=given["isCompactionInFlight"],
    )


def run_timeout(given: Mapping[str, Any]) -> str:
    return on_run_timeout(
        pending_or_retrying=given["isCompactionPendingOrRetrying"],
        in_flight=given["isCompactionInFlight"],
        grace_used=given["graceAlreadyUsed"],
    )


def snapshot(given: Mapping[str, Any]) -> dict[str, Any]:
    chosen = transcript_after_timeout(
        timed_out_during_compaction=given["timedOutDuringCompaction"],
        before=given.get("preCompactionSnapshot"),
        before_session_id=given["preCompactionSessionId"],
        current=given["currentSnapshot"],
        current_session_id=given["currentSessionId"],
    )
    return {"messagesSnapshot": chosen.messages, "sessionIdUsed": chosen.session_id, "source": chosen.source}


RULES: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "shouldFlagCompactionTimeout": compaction_timeout,
    "resolveRunTimeoutDuringCompaction": run_timeout,
    "selectCompactionTimeoutSnapshot": snapshot,
    "resolveMaxRunRetryIterations": lambda given: run_iteration_limit(given["profileCandidateCount"]),
}


@replay("misc", where=lambda raw: raw["fn"] in RULES)
def test_misc(row: Row) -> None:
    assert RULES[row.raw["fn"]](row.input) == row.expected
