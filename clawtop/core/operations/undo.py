"""Undoing operations: which can be undone, and the plan that undoes one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from clawtop.core.model import Event, EventKind, Moment, Snapshot
from clawtop.core.nearest import did_you_mean
from clawtop.core.operations.edit import STATS, FieldChange, Restore, moved_on
from clawtop.core.operations.past import PastOperation, past_operation
from clawtop.core.operations.plan import Plan, PlanKind, StoreStep, store_plan, store_step
from clawtop.core.operations.target import (
    UNTOUCHED,
    part_of,
    state_of,
)
from clawtop.errors import RefusedError
from clawtop.redaction import masked_words
from clawtop.text import safe, shown


def undo_record(steps: Iterable[StoreStep]) -> dict[str, Any]:
    """What the journal keeps of steps that were done, so that they can be taken back: exact, but for a secret that
    OpenClaw wrote among the reasons of a profile's statistics, which comes back as a mask.
    """
    parts = [{"agent": step.owner, "changes": [_recorded(change) for change in step.changes]} for step in steps]
    return {**parts[0], "more": parts[1:]} if len(parts) > 1 else dict(parts[0]) if parts else {}


def _recorded(change: FieldChange) -> dict[str, Any]:
    facts = change.to_json()
    if change.section == STATS:
        facts |= {name: masked_words(facts[name], keys=True) for name in ("before", "after")}
    return facts


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
    """Take an operation back: the last one, or the one named. Refused if the values have changed since."""
    candidates = undoable(events)
    if operation_id is None:  # an operation that never ended counts only if its change is there
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
            f"{past.id} was started but never finished, and its change was not made",
            unchanged=UNTOUCHED,
        )
    if newer:
        raise RefusedError(
            f"the state has changed since {past.id}: "
            + "; ".join(f"{safe(change.where)} is now {shown(change.before, 60)}" for change in newer[:3]),
            unchanged=UNTOUCHED,
            hint="the current values are newer than the operation",
        )
    title = f"Undo {past.id}: {safe(past.title)}" + (" (started; its end was not recorded)" if past.unfinished else "")
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
    """The steps that undo an operation, and what prevents it."""
    steps: list[StoreStep] = []
    newer: list[FieldChange] = []
    for owner, changes in reversed(past.changes):
        part = part_of(snapshot, owner)
        back = tuple(change.inverted() for change in reversed(changes))
        newer += moved_on(state_of(part), back)
        steps.append(store_step(part, Restore(back)))
    return steps, newer
