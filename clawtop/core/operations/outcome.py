"""The outcome of an operation, a run or a drain, according to the journal."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from clawtop.core.model import Event, EventKind


class OperationOutcome(StrEnum):
    """DONE: the change was made. FAILED: it was not. BEGUN: started, with nothing recorded since; the state itself
    says more. UNKNOWN: it is not in the journal.
    """

    DONE = "done"
    FAILED = "failed"
    BEGUN = "begun"
    UNKNOWN = "unknown"


def outcome_of(past: Iterable[Event], operation_id: str) -> tuple[OperationOutcome, Event | None]:
    """The outcome of the operation, run or drain with this id, and the event that reports it."""
    found: tuple[OperationOutcome, Event | None] = (OperationOutcome.UNKNOWN, None)
    for event in past:
        if operation_id not in {event.data.get("id"), event.data.get("drain"), event.run_id}:
            continue
        told = _told(event)
        if told is OperationOutcome.BEGUN and found[0] is not OperationOutcome.UNKNOWN:
            continue
        if told is not None:
            found = (told, event)
    return found


def _told(event: Event) -> OperationOutcome | None:
    """What one event says about the outcome; None: nothing."""
    match event.kind:
        case EventKind.INTENT | EventKind.RUN_START:
            return OperationOutcome.BEGUN
        case EventKind.OPERATION:
            return OperationOutcome.DONE if event.data.get("outcome") == "done" else OperationOutcome.FAILED
        case EventKind.RUN_END:
            return OperationOutcome.DONE if event.data.get("outcome") == "reply" else OperationOutcome.FAILED
        case EventKind.DRAIN:
            ends = {"drained": OperationOutcome.DONE, "not-released": OperationOutcome.FAILED}
            return ends.get(str(event.data.get("stage")), OperationOutcome.BEGUN)
    return None


def withdrawal(operation_id: str, now: int) -> Event:
    """The journal event that prevents an operation from ever starting, at `now` (ms since the epoch)."""
    data = {"id": operation_id, "outcome": "failed", "why": "withdrawn before it started"}
    return Event(now, EventKind.OPERATION, "operation", f"withdrawn before it started: {operation_id[:80]}", data=data)
