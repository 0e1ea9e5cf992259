"""Who waits for whom, since when, and what would end it: one tree per blocked thing.

A tree reads downwards: a session waits for a lock or a holder, held by a run or a process, which waits for a lane or
a profile, which cools until some time. The last node of a branch is the root cause; `remedy` names the command that
deals with it. Every node says how it is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from clawtop.core.health.account_causes import AUTH_HOLD_MS
from clawtop.core.incident.links import LONG_WAIT_MS, RETRY_ANSWERS_MS, SnapshotIndex
from clawtop.core.incident.node import WEIGHT, Node, NodeKind, Severity
from clawtop.core.locks.staleness import WRITING_MS
from clawtop.core.model import Event, LockKind, Snapshot, session_named
from clawtop.core.session.activity import running_since
from clawtop.core.session.attention import retry_of
from clawtop.core.session.listed import perhaps_working, working

__all__ = ["GROUP_FROM", "Node", "NodeKind", "Severity", "blocking_tree", "changes_at"]

GROUP_FROM = 4
"""This many trees with the same cause become one."""


def blocking_tree(snapshot: Snapshot, now: int, events: tuple[Event, ...] = ()) -> tuple[Node, ...]:
    """One tree for each blocked thing, stuck ones first, then the oldest. `events`: recent ones, to find takeovers."""
    world = SnapshotIndex(snapshot, now, events)
    trees = [
        *world.gateway(),
        *world.unloaded(),
        *world.store_locks(),
        *world.agents_without_profiles(),
        *world.sessions(),
        *world.orphan_locks(),
    ]
    trees.sort(key=lambda tree: (-WEIGHT[tree.severity], tree.since if tree.since is not None else now, tree.id))
    return tuple(_grouped(trees))


def changes_at(snapshot: Snapshot, now: int) -> int | None:
    """The next time at which the tree changes without any event: a wait, a hold or a turn then counts as long."""
    waits = (waiter.since + LONG_WAIT_MS for holder in snapshot.holders for waiter in holder.waiters)
    holds = (lock.since + AUTH_HOLD_MS + 1 for lock in snapshot.locks if lock.file.kind is LockKind.AUTH)
    writes = (lock.since + WRITING_MS + 1 for lock in snapshot.locks if lock.pid is None)
    limits = snapshot.config.attention
    turns = (
        began + limit
        for session in working(snapshot.sessions)
        if (began := running_since(session)) is not None
        for limit in (limits.warn_ms + 1, limits.abort_ms)
    )
    retries = (
        retry.due + after
        for session in perhaps_working(snapshot.sessions)
        if (retry := retry_of(session)) is not None
        for after in (0, RETRY_ANSWERS_MS + 1)
    )
    return min((moment for moment in (*waits, *holds, *writes, *turns, *retries) if moment > now), default=None)


def _grouped(trees: list[Node]) -> Iterator[Node]:
    """Many sessions with the same cause become one tree."""
    causes: dict[tuple[NodeKind, str], list[Node]] = {}
    for tree in trees:
        if tree.kind is NodeKind.SESSION and tree.children:
            cause = tree.cause()
            causes.setdefault((cause.kind, cause.id), []).append(tree)
    groups: Mapping[str, list[Node]] = {
        members[0].id: members for members in causes.values() if len(members) >= GROUP_FROM
    }
    swallowed = {member.id for members in groups.values() for member in members[1:]}
    for tree in trees:
        if tree.id in groups and tree.kind is NodeKind.SESSION:
            members = groups[tree.id]
            first, second, *_ = members
            yield tree._replace(
                kind=NodeKind.GROUP,
                label=(f"{len(members)} sessions (", session_named(first.id), ", ", session_named(second.id), ", …)"),
                since=min((member.since for member in members if member.since is not None), default=None),
            )
        elif tree.id not in swallowed or tree.kind is not NodeKind.SESSION:
            yield tree
