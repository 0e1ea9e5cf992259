"""The plan that a command makes for the row under the cursor, or the reason why it makes none."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from clawtop.commands import Target
from clawtop.core.model import GatewayState, Lock, Snapshot
from clawtop.core.operations.clear import clear_profile, clear_provider
from clawtop.core.operations.order import reset_order, rotate
from clawtop.core.operations.plan import Plan
from clawtop.core.operations.undo import undo
from clawtop.core.operations.unlock import unlock
from clawtop.errors import RefusedError
from clawtop.text import safe
from clawtop.view.fitting import wrapped
from clawtop.view.line import Line, Tone, piece

Planner = Callable[[Snapshot, Target], Plan]


def _clear_model(snapshot: Snapshot, target: Target) -> Plan:
    profiles = (
        p for agent in snapshot.agents if agent.id == target.agent and agent.store for p in agent.store.profiles
    )
    model = next((p.stats.cooldown_model for p in profiles if p.id == target.id), None)
    if model is None:
        raise RefusedError(f"{safe(target.id)} has no model-scoped cooldown", unchanged="nothing was changed")
    return clear_profile(snapshot, target.id, agent=target.agent, model=model)


def _provider(target: Target) -> str:
    return target.provider or target.id


PLANNERS: Mapping[str, Planner] = {
    "clear": lambda s, t: clear_profile(s, t.id, agent=t.agent),
    "clear-model": _clear_model,
    "clear-provider": lambda s, t: clear_provider(s, _provider(t), agent=t.agent),
    "rotate": lambda s, t: rotate(s, _provider(t), agent=t.agent),
    "rotate-reset": lambda s, t: reset_order(s, _provider(t), agent=t.agent),
    "unlock": lambda s, t: unlock(s, t.id),
}
"""The plan that a command makes for the row under the cursor. `undo` needs no row."""


def plan_for(command_id: str, snapshot: Snapshot, target: Target | None) -> Plan:
    """The plan of a command. Raises RefusedError."""
    if command_id == "undo":
        return undo(snapshot, snapshot.events)
    if target is None:
        raise RefusedError("no row under the cursor", unchanged="nothing was changed")
    return PLANNERS[command_id](snapshot, target)


def held_by_gateway(snapshot: Snapshot | None, target: Target | None) -> Lock | None:
    """The lock under the cursor, if the live gateway holds it."""
    if snapshot is None or target is None or snapshot.gateway.state is not GatewayState.LIVE:
        return None
    lock = next((lock for lock in snapshot.locks if lock.file.path == target.id), None)
    return lock if lock is not None and lock.pid is not None and lock.pid == snapshot.gateway.pid else None


def gateway_holds_lines(lock: Lock, width: int) -> tuple[Line, ...]:
    """The warning that is shown instead of a preview."""
    texts = (
        (f"The live gateway (pid {lock.pid}) holds this lock.", Tone.BAD),
        (safe(lock.file.path), Tone.DIM),
        ("Removing it would let in a second writer and lose what the gateway writes.", Tone.PLAIN),
        ("clawtop does not offer to remove it.", Tone.STRONG),
        ("Wait, drain the session, or stop the gateway and try again.", Tone.PLAIN),
    )
    return tuple(line for text, tone in texts for line in (*wrapped(piece(text, tone), width), ()))
