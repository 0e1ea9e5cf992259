"""What happens to an operation after its receipt: a later state shows that the gateway loaded it, or reverted it."""

from __future__ import annotations

from clawtop.core.model import EventKind, GatewayState, Snapshot
from clawtop.core.operations.edit import FieldChange, moved_on
from clawtop.core.operations.loaded import KEPT_MS, as_gateway_knows
from clawtop.core.operations.receipt import Receipt, Sight
from clawtop.core.operations.target import part_of, state_of
from clawtop.errors import RefusedError
from clawtop.text import safe


def late_sight(snapshot: Snapshot, receipt: Receipt) -> tuple[Sight, str] | None:
    """What a later state shows about an operation that the gateway had not loaded, and how; None while it shows
    nothing.

    The snapshot's events hold the journal's: a state that was read before the operation says nothing about it.
    """
    if snapshot.judged_at is not None or not _is_journaled(snapshot, receipt.id):
        return None
    for step in receipt.steps:
        back = _back(snapshot, step.owner, step.changes)
        if back is not None:
            return Sight.REVERTED, f"{safe(back.where)} is {safe(back.after, 60)} again"
    gateway = snapshot.gateway
    if gateway.state is not GatewayState.LIVE or snapshot.taken_at - receipt.at > KEPT_MS:
        return None
    if any(one.operation == receipt.id for one in as_gateway_knows(snapshot, snapshot.taken_at).pending):
        return None
    if gateway.started_at is not None and gateway.started_at > receipt.at:
        return Sight.SEEN, "the gateway was started after it and has read it"
    return Sight.SEEN, "the gateway has read the store after it"


def _is_journaled(snapshot: Snapshot, operation_id: str) -> bool:
    return any(
        event.kind is EventKind.OPERATION
        and event.data.get("id") == operation_id
        and event.data.get("outcome") == "done"
        for event in snapshot.events
    )


def _back(snapshot: Snapshot, owner: str, changes: tuple[FieldChange, ...]) -> FieldChange | None:
    """The first change of a place if all of them are undone; if a profile has failed again, only some are."""
    try:
        state = state_of(part_of(snapshot, owner))
    except RefusedError:
        return None
    kept = tuple(change.inverted() for change in changes)
    back = [change for change in moved_on(state, kept) if change.before == change.after]
    return back[0] if len(back) == len(kept) > 0 else None
