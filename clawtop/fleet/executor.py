"""Executes the plans of a host's dashboard: the host's own clawtop makes the same plan, or nothing is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clawtop.core.model import Snapshot
from clawtop.core.operations.plan import Plan
from clawtop.core.operations.receipt import Receipt, Sight
from clawtop.core.operations.verb import verb_words
from clawtop.errors import RefusedError
from clawtop.fleet.protocol import is_whole, texts
from clawtop.fleet.remote import FarReceipt, RemoteOperations
from clawtop.nested import mapping
from clawtop.text import shown


class RemoteExecutor:
    """Replaces this machine's own operations."""

    def __init__(self, operations: RemoteOperations, host: str) -> None:
        self._operations = operations
        self._host = host

    async def __call__(self, plan: Plan, snapshot: Snapshot, on_wait: Callable[[Any], None]) -> Receipt:  # noqa: ARG002
        """Execute there. Raises ClawtopError."""
        far = await self._operations.plan(verb_words(plan))
        if far.fingerprint != plan.fingerprint:
            raise RefusedError(
                f"the state of {self._host} has changed since this was shown",
                unchanged="nothing was changed",
                hint="look again",
            )
        return _receipt(plan, await self._operations.execute(far), self._host)


def _receipt(plan: Plan, done: FarReceipt, host: str) -> Receipt:
    told = done.receipt
    gateway = mapping(told.get("gateway"))
    sight = next((one for one in Sight if one.value == gateway.get("state")), Sight.WRITTEN)
    notes = list(texts(told.get("notes"), 20))
    if done.found:
        notes.append("the connection was lost; the journal there says that it was done")
    at = told.get("at")
    undo = told.get("undo")
    return Receipt(
        id=done.id,
        kind=plan.kind,
        title=f"{host}: {plan.title}",
        target=plan.target,
        agent=plan.agent,
        file=plan.file,
        changes=plan.changes,
        at=at if is_whole(at) else 0,
        by=shown(told.get("by", host), 80),
        sight=sight,
        sight_how=shown(gateway.get("how", ""), 300),
        undo=undo if isinstance(undo, str) else done.id if isinstance(undo, dict) else None,
        notes=tuple(notes),
        steps=plan.steps,
    )
