"""Which errors OpenClaw 2026.8 and 2026.9 treat as local trouble of a run: claims and workers, not session locks.

And which mean that somebody ended the run: from 2026.7 on the name AbortError alone no longer does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from enum import StrEnum

from clawtop.core.failure.record import ErrorRecord, ErrorValue, walk
from clawtop.patterns import regex


class Local(StrEnum):
    """ALWAYS: whatever a provider said. UNLESS_CLASSIFIED: where the error has no class. NO: not local."""

    ALWAYS = "always"
    UNLESS_CLASSIFIED = "unless-classified"
    NO = "no"


NAMES_8 = frozenset(
    {
        "GatewayDrainingError",
        "WorkerRunnerUnavailableError",
        "WorkerRunnerCapacityError",
        "WorkerWorkspaceReconciliationError",
    }
)
NAMES = NAMES_8 | {"ActiveTurnClaimError"}
CLAIM_LOST = "SessionTranscriptWriterClaimReboundError"
STALE_RUN = "ERR_STALE_GATEWAY_LIFECYCLE"
NO_TOOL_RESULT = "missing_tool_result"
_NO_TOOL_RESULT = regex(r"native codex tool\.call without a matching tool\.result", re.IGNORECASE)


def local_9_6(value: ErrorValue) -> Local:
    """Whether the error is local to the run, so that no other model would help."""
    return _local(value, NAMES, suppressed=True)


def local_8_2(value: ErrorValue) -> Local:
    """The same in 2026.8, which does not look into what an error suppressed."""
    return _local(value, NAMES_8, suppressed=False)


def _local(value: ErrorValue, names: Set[str], *, suppressed: bool) -> Local:
    if not isinstance(value, ErrorRecord):
        return Local.UNLESS_CLASSIFIED if lacks_tool_result(value) else Local.NO
    around = walk(value, aside=True, suppressed=suppressed)
    if any(isinstance(each, ErrorRecord) and each.name in names for each in around):
        return Local.ALWAYS
    within = [each for each in walk(value) if isinstance(each, ErrorRecord)]
    stale = any(each.code == STALE_RUN and each.is_exception for each in within)
    if stale and (value.code == STALE_RUN or not _names_a_provider(value)):
        return Local.ALWAYS
    if any(isinstance(each, ErrorRecord) and each.name == CLAIM_LOST for each in walk(value, reasons=True)):
        return Local.ALWAYS
    return Local.UNLESS_CLASSIFIED if stale or any(lacks_tool_result(each) for each in within) else Local.NO


_ENDED = frozenset({"OPENCLAW_DIRECT_ABORT", "OPENCLAW_RESTART_ABORT"})
_RESTART = "OPENCLAW_RESTART_ABORT"
_REPLACED = frozenset({"AGENT_RUN_SUPERSEDED_ABORT", "SESSION_PLACEMENT_TURN_SETTLEMENT_CLOSED"})


def aborted_9_6(value: ErrorValue) -> bool:
    """Whether the run was ended: by its user, for a restart, or because another run took its place."""
    replaced = (_has_code(each, _REPLACED) for each in walk(value, reasons=True, aside=True, suppressed=True))
    return any(replaced) or aborted_7_1(value)


def aborted_7_1(value: ErrorValue) -> bool:
    """The same in 2026.7 and 2026.8, in which a run that another one replaced goes on with the next model."""
    if not isinstance(value, ErrorRecord):
        return False
    wrapped = value.cause if value.is_exception and value.name == "AbortError" else None
    inner = wrapped.cause if isinstance(wrapped, ErrorRecord) and wrapped.is_exception else None
    return _has_code(value, _ENDED) or any(_has_code(each, {_RESTART}) for each in (wrapped, inner))


def _has_code(value: ErrorValue, codes: Set[str]) -> bool:
    return isinstance(value, ErrorRecord) and value.is_exception and value.code in codes


def _names_a_provider(value: ErrorRecord) -> bool:
    return value.is_failover or any((value.status, value.status_code, value.code, value.provider))


def lacks_tool_result(value: ErrorValue) -> bool:
    """A tool was called and its result never came."""
    if isinstance(value, str):
        return _NO_TOOL_RESULT.search(value) is not None
    if not isinstance(value, ErrorRecord):
        return False
    output = value.body.get("output")
    texts = (value.message, output if isinstance(output, str) else None)
    if any(text is not None and _NO_TOOL_RESULT.search(text) is not None for text in texts):
        return True
    parts = (value.body.get(name) for name in ("result", "detail"))
    inner = (part.get("reason") for part in parts if isinstance(part, Mapping))
    said = (value.code, value.reason, value.status)
    return NO_TOOL_RESULT in [each.strip() for each in said if isinstance(each, str)] or NO_TOOL_RESULT in inner
