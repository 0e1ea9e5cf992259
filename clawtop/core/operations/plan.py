"""Previews: what an operation would change, its effect and its cost, before anything is touched.

A plan is made from one snapshot and pins what it showed: executing it under the store's lock makes exactly these
changes, or refuses because the state has changed. If no plan can be made, a RefusedError says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from enum import StrEnum

from clawtop.core.model import AuthPart, GatewayState, LockFile, Sentence, Snapshot
from clawtop.core.operations.edit import (
    Edit,
    FieldChange,
    differences,
    fingerprint,
)
from clawtop.core.operations.loaded import all_out, as_gateway_knows
from clawtop.core.operations.loading import loads
from clawtop.core.operations.target import (
    state_of,
)
from clawtop.text import safe
from clawtop.values import dataclass


class PlanKind(StrEnum):
    CLEAR = "clear"
    ROTATE = "rotate"
    RESET_ORDER = "rotate-reset"
    ORDER = "order"
    UNLOCK = "unlock"
    UNDO = "undo"


@dataclass(frozen=True, slots=True)
class StoreStep:
    """What a plan changes in one place: under its lock, `edit` makes exactly `changes`, or nothing is done there."""

    owner: str
    file: str
    changes: tuple[FieldChange, ...]
    edit: Edit = field(compare=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """One operation, ready to be shown and confirmed.

    Attributes:
        title: one line, what would be done.
        target: the exact id of what it acts on: profile, provider, lock path, or operation.
        agent: whose store is written (an agent, or `SHARED`), the first if there are several; None for locks that
            belong to no agent.
        file: the file that is written or removed, the first if there are several.
        changes: every value that changes, before and after. Empty for a lock; otherwise empty means nothing to do.
        fingerprint: pins `changes`, or the lock's identity.
        effects: what it does, in words. loses: what only undo can restore. warnings: what to know first.
        steps: the change itself, for stores: place after place. lock: the lock to remove, with its `proof`.
        undoes: the operation that is taken back.
        all_out: whether a live gateway can use no profile of a store that it changes.
    """

    kind: PlanKind
    title: str
    target: str
    agent: str | None
    file: str
    fingerprint: str
    changes: tuple[FieldChange, ...] = ()
    effects: tuple[Sentence, ...] = ()
    loses: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    steps: tuple[StoreStep, ...] = ()
    lock: LockFile | None = None
    proof: tuple[str, ...] = ()
    undoes: str | None = None
    all_out: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return self.lock is None and not self.changes


def store_step(part: AuthPart, edit: Edit) -> StoreStep:
    state = state_of(part)
    return StoreStep(part.owner, part.file, differences(state, state.changed_by(edit)), edit)


def store_plan(snapshot: Snapshot, steps: Sequence[StoreStep], *, kind: PlanKind, title: str, target: str) -> Plan:
    """A plan of the steps that change something; of the last step if none does.

    The snapshot's events, which include the journal's, show what a live gateway has not loaded yet.
    """
    steps = tuple(step for step in steps if step.changes) or steps[-1:]
    changes = tuple(change for step in steps for change in step.changes)
    view = as_gateway_knows(snapshot, snapshot.taken_at).snapshot
    out = any(all_out(view, step.owner, snapshot.taken_at) for step in steps)
    warnings = _gateway_warnings(snapshot, changes, out=out) if changes else ()
    first = steps[0]
    return Plan(
        kind,
        title,
        target,
        first.owner,
        first.file,
        fingerprint(changes),
        changes,
        warnings=warnings,
        steps=tuple(step for step in steps if step.changes),
        all_out=out,
    )


def _gateway_warnings(snapshot: Snapshot, changes: Sequence[FieldChange], *, out: bool) -> tuple[str, ...]:
    gateway = snapshot.gateway
    if gateway.state.is_gone:
        return ()
    who = f"the live gateway (pid {gateway.pid})" if gateway.state is GatewayState.LIVE else "a gateway, if one runs,"
    live = loads(changes, snapshot.semantics.remote, all_out=out)
    return (
        f"{who} does not see this at once, only {live}",
        "a success or failure of the same profile before then overwrites it",
    )


def shared_with(snapshot: Snapshot, owner: str) -> tuple[str, ...]:
    others = [
        agent.id
        for agent in snapshot.agents
        if agent.id != owner and agent.store and any(profile.owner_agent == owner for profile in agent.store.profiles)
    ]
    return (
        (f"agents that inherit this store are affected too: {', '.join(safe(other) for other in others)}",)
        if others
        else ()
    )
