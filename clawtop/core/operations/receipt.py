"""What an operation did, for the operator, for JSON output and for the journal."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from clawtop.core.model import Event, EventKind
from clawtop.core.operations.edit import FieldChange
from clawtop.core.operations.plan import Plan, PlanKind, StoreStep
from clawtop.core.operations.undo import undo_record
from clawtop.values import dataclass

REVERTED_EXIT = 4
NOTHING_TO_DO = "nothing to do"
"""`sight_how` of a receipt for a plan that changes nothing."""


class Sight(StrEnum):
    """Whether a live gateway has loaded the change (docs/formats.md 2.5).

    WRITTEN: it is on disk; the gateway was not watched. SEEN: the gateway uses it. REVERTED: the old values are back.
    NOT_YET: it is on disk, but the gateway showed no sign of having read it. NO_GATEWAY: none is running.
    """

    WRITTEN = "written"
    SEEN = "seen"
    REVERTED = "reverted"
    NOT_YET = "not yet seen"
    NO_GATEWAY = "no gateway"


@dataclass(frozen=True, slots=True)
class Receipt:
    """One operation that was done.

    Attributes:
        at: when, ms since the epoch.
        by: user and process.
        reason: the operator's words.
        sight, sight_how: how the gateway reacted, and how that is known.
        lock_how: how the store's lock was created; None if none was taken.
        waited_ms, held_ms: for the lock, and with it.
        broke: the stale lock that had to be removed first.
        undo: the id to undo it by; None where it cannot be undone or nothing was done.
        notes: what else happened that the operator should know.
        follow_up: a command that would make the gateway load the change; it has not been run.
        steps: the places that were changed; empty for a lock.
        reloaded: the gateway read all its stores again after it.
    """

    id: str
    kind: PlanKind
    title: str
    target: str
    agent: str | None
    file: str
    changes: tuple[FieldChange, ...]
    at: int
    by: str
    reason: str = ""
    sight: Sight = Sight.WRITTEN
    sight_how: str = ""
    lock_how: str | None = None
    waited_ms: int = 0
    held_ms: int = 0
    broke: str | None = None
    undo: str | None = None
    notes: tuple[str, ...] = ()
    follow_up: tuple[str, ...] = ()
    steps: tuple[StoreStep, ...] = ()
    reloaded: bool = False

    @property
    def exit_code(self) -> int:
        """0 done, 4 done but reverted."""
        return REVERTED_EXIT if self.sight is Sight.REVERTED else 0

    def to_json(self) -> dict[str, Any]:
        """Exact ids and values, JSON-ready."""
        return {
            "id": self.id,
            "kind": self.kind.value,
            "title": self.title,
            "target": self.target,
            "agent": self.agent,
            "file": self.file,
            "changes": [change.to_json() for change in self.changes],
            "at": self.at,
            "by": self.by,
            "reason": self.reason,
            "gateway": {"state": self.sight.value, "how": self.sight_how},
            "lock": {
                "how": self.lock_how,
                "waited_ms": self.waited_ms,
                "held_ms": self.held_ms,
                "broke": self.broke,
            },
            "undo": self.undo,
            "notes": list(self.notes),
            "follow_up": list(self.follow_up),
        }


def intent_event(plan: Plan, operation_id: str, *, at: int, by: str, reason: str) -> Event:
    """What is about to be done, for the journal: undo uses it if the end is never recorded."""
    data: dict[str, Any] = {
        "id": operation_id,
        "kind": plan.kind.value,
        "title": plan.title,
        "file": plan.file,
        "by": by,
    }
    if reason:
        data["reason"] = reason
    if plan.undoes is not None:
        data["undoes"] = plan.undoes
    if plan.steps:
        data["undo"] = undo_record(plan.steps)
    return Event(at, EventKind.INTENT, "operation", f"about to: {plan.title}", agent=plan.agent, data=data)


def result_event(plan: Plan, receipt: Receipt) -> Event:
    """What was done, with everything that undo needs."""
    data: dict[str, Any] = {
        "id": receipt.id,
        "kind": plan.kind.value,
        "title": plan.title,
        "file": plan.file,
        "by": receipt.by,
        "outcome": "done",
        "waited_ms": receipt.waited_ms,
    }
    data |= {key: value for key, value in (("reason", receipt.reason), ("broke", receipt.broke)) if value}
    if plan.undoes is not None:
        data["undoes"] = plan.undoes
    if receipt.undo is not None:
        data["undo"] = undo_record(receipt.steps)
    return Event(receipt.at, EventKind.OPERATION, "operation", f"done: {plan.title}", agent=plan.agent, data=data)


def failure_event(plan: Plan, operation_id: str, *, at: int, why: str) -> Event:
    """What was not done, and why."""
    data = {"id": operation_id, "kind": plan.kind.value, "outcome": "failed", "why": why}
    return Event(at, EventKind.OPERATION, "operation", f"not done: {plan.title}: {why}", agent=plan.agent, data=data)


def sight_event(plan: Plan, receipt: Receipt, *, at: int) -> Event:
    """How the gateway reacted."""
    kind = EventKind.REVERTED if receipt.sight is Sight.REVERTED else EventKind.GATEWAY
    text = f"{receipt.sight.value}: {plan.title}: {receipt.sight_how}"
    return Event(at, kind, "operation", text, agent=plan.agent, data={"id": receipt.id, "reloaded": receipt.reloaded})
