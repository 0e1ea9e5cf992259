"""Taking operations back: what the journal keeps of one, which can be undone, and the plan that undoes it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from clawtop.core.model import Event, EventKind, Moment, Snapshot
from clawtop.core.nearest import did_you_mean
from clawtop.core.operations.edit import (
    FieldChange,
    Restore,
    field_change,
    moved_on,
)
from clawtop.core.operations.plan import Plan, PlanKind, StoreStep, store_plan, store_step
from clawtop.core.operations.target import (
    UNTOUCHED,
    part_of,
    state_of,
)
from clawtop.errors import RefusedError
from clawtop.text import safe


@dataclass(frozen=True, slots=True)
class PastOperation:
    """An operation that the journal says was done and that could be taken back: what it changed, by owner.

    `unfinished`: it was begun, and how it ended was never written down; what stands in the store tells.
    """

    id: str
    at: int
    title: str
    kind: str
    changes: tuple[tuple[str, tuple[FieldChange, ...]], ...]
    unfinished: bool = False


def undo_record(steps: Iterable[StoreStep]) -> dict[str, Any]:
    """What the journal keeps of steps that were done, so that they can be taken back."""
    parts = [{"agent": step.owner, "changes": [change.to_json() for change in step.changes]} for step in steps]
    return {**parts[0], "more": parts[1:]} if len(parts) > 1 else dict(parts[0]) if parts else {}


def past_operation(event: Event) -> PastOperation | None:
    """The operation that a journal event tells was done, with its changes; None for anything else."""
    recorded: Any = event.data.get("undo")
    if not isinstance(recorded, dict):
        return None
    more = recorded.get("more", [])
    parts = [_past_part(raw) for raw in (recorded, *(more if isinstance(more, list) else [None]))]
    whole = tuple(part for part in parts if part is not None)
    if len(whole) != len(parts):
        return None
    id_, kind, title = (event.data.get(name) for name in ("id", "kind", "title"))
    if not (isinstance(id_, str) and isinstance(kind, str) and isinstance(title, str)):
        return None
    return PastOperation(id_, event.at, title, kind, whole)


def _past_part(raw: Any) -> tuple[str, tuple[FieldChange, ...]] | None:
    if not isinstance(raw, dict) or not isinstance(raw.get("changes"), list) or not isinstance(raw.get("agent"), str):
        return None
    changes = [field_change(item) for item in raw["changes"]]
    whole = tuple(change for change in changes if change is not None)
    return (raw["agent"], whole) if whole and len(whole) == len(changes) else None


def undoable(events: Iterable[Event]) -> tuple[PastOperation, ...]:
    """The operations that can be undone, the latest first. Undone ones and undos are not among them."""
    found: dict[str, PastOperation] = {}
    undone: set[str] = set()
    for event in events:
        if event.kind not in {EventKind.OPERATION, EventKind.INTENT}:
            continue
        begun = event.kind is EventKind.INTENT
        found.pop(str(event.data.get("id")), None)
        past = past_operation(event)
        if past is not None:
            found[past.id] = replace(past, unfinished=begun)
        if isinstance(event.data.get("undoes"), str) and not begun:
            undone.add(event.data["undoes"])
    return tuple(reversed([past for past in found.values() if past.id not in undone and past.kind != PlanKind.UNDO]))


def undo(snapshot: Snapshot, events: Iterable[Event], operation_id: str | None = None) -> Plan:
    """Take an operation back: the last one, or the one named. Refused where its values are not what it left."""
    candidates = undoable(events)
    if operation_id is None:  # of one that never ended nothing may stand there: then it is not the last one
        candidates = tuple(item for item in candidates if not item.unfinished or _stands(snapshot, item))
    past = next((item for item in candidates if operation_id in {None, item.id}), None)
    if past is None:
        what = "there is nothing to undo"
        if operation_id is not None:
            near = did_you_mean(operation_id, (item.id for item in candidates))
            what = f"no operation {safe(operation_id)} can be undone{near}"
        raise RefusedError(what, unchanged=UNTOUCHED)
    steps, newer = _way_back(snapshot, past)
    if newer and past.unfinished:
        raise RefusedError(
            f"{past.id} was begun but never finished, and its change is not there",
            unchanged=UNTOUCHED,
        )
    if newer:
        raise RefusedError(
            f"the state has changed since {past.id}: "
            + "; ".join(f"{safe(change.where)} is now {safe(change.before, 60)}" for change in newer[:3]),
            unchanged=UNTOUCHED,
            hint="the present values are newer than the operation",
        )
    title = f"Undo {past.id}: {safe(past.title)}" + (" (begun; its end was not recorded)" if past.unfinished else "")
    plan = store_plan(snapshot, steps, kind=PlanKind.UNDO, title=title, target=past.id)
    names = ", ".join(dict.fromkeys(safe(change.key) for change in plan.changes))
    return replace(plan, effects=((f"{names}: as before ", Moment(past.at)),), undoes=past.id)


def _stands(snapshot: Snapshot, past: PastOperation) -> bool:
    """Whether the store holds what an operation changed."""
    try:
        return not _way_back(snapshot, past)[1]
    except RefusedError:
        return False


def _way_back(snapshot: Snapshot, past: PastOperation) -> tuple[list[StoreStep], list[FieldChange]]:
    """The steps that take an operation back, and what stands in their way."""
    steps: list[StoreStep] = []
    newer: list[FieldChange] = []
    for owner, changes in reversed(past.changes):
        part = part_of(snapshot, owner)
        back = tuple(change.inverted() for change in reversed(changes))
        newer += moved_on(state_of(part), back)
        steps.append(store_step(part, Restore(back)))
    return steps, newer
