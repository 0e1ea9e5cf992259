"""What became of an operation, as the journal tells it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from clawtop.core.model import Event, EventKind


class OperationOutcome(StrEnum):
    """DONE: the change was made. FAILED: it was not. BEGUN: intended, and nothing was written down since; the state
    itself says more. UNKNOWN: the journal does not know it.
    """

    DONE = "done"
    FAILED = "failed"
    BEGUN = "begun"
    UNKNOWN = "unknown"


def outcome_of(past: Iterable[Event], operation_id: str) -> tuple[OperationOutcome, Event | None]:
    """The outcome of an operation, with the event that tells it."""
    found: tuple[OperationOutcome, Event | None] = (OperationOutcome.UNKNOWN, None)
    for event in past:
        if event.data.get("id") != operation_id:
            continue
        if event.kind is EventKind.INTENT and found[0] is OperationOutcome.UNKNOWN:
            found = (OperationOutcome.BEGUN, event)
        elif event.kind is EventKind.OPERATION:
            found = (OperationOutcome.DONE if event.data.get("outcome") == "done" else OperationOutcome.FAILED, event)
    return found


def withdrawal(operation_id: str, now: int) -> Event:
    """What keeps an operation that has not begun from ever beginning, in the journal at `now` (ms since the epoch)."""
    data = {"id": operation_id, "outcome": "failed", "why": "withdrawn before it began"}
    return Event(now, EventKind.OPERATION, "operation", f"withdrawn before it began: {operation_id[:80]}", data=data)
