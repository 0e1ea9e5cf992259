"""What a gateway reports, as a witness of its sessions' runs.

Its yes counts. Its no counts where it sees every run (2026.8 and later); before that, it does not report runs of cron,
heartbeats or channels, so its no ends one doubt only: whether another attempt follows one that the log says failed.
2026.5.20 logs a failed attempt as an error ("lane task error"), and a next one only at level debug. A run asked for
over its API stays among its runs until its last attempt is over (`chatAbortControllers`); any other leaves a trace on
the disk within `Remote.attempts_ms`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from clawtop.core.model import GatewayWords, Session, TaskSight, Witness, WitnessKind
from clawtop.core.rules import Remote

CRON = "cron"
QUEUED = "queued"


def witnesses_of(
    words: GatewayWords,
    sessions: Iterable[Session],
    remote: Remote,
    *,
    gateway_since: int | None,
    said_at: int | None = None,
) -> Mapping[str, tuple[Witness, ...]]:
    """What the gateway says about these sessions, by key; sessions it does not mention are left out.

    Args:
        gateway_since: when it started (ms since the epoch): an older task was left open by an earlier gateway process.
        said_at: when it was last asked and said so (ms since the epoch); None: when it first said so.
    """
    if words.problem is not None:
        return {}
    tasks = [task for task in words.tasks or () if not _left_open(task, gateway_since)]
    at = words.at if said_at is None else said_at
    told = (
        (session.key, _witness(session.key, words, tasks, remote) or _nothing_followed(session, words, at, remote))
        for session in sessions
    )
    return {key: (witness,) for key, witness in told if witness is not None}


def tasks_in(key: str, tasks: Iterable[TaskSight]) -> list[TaskSight]:
    """The tasks that work in, or wait for, a session."""
    return [task for task in tasks if task.key is not None and _is_of(task.key, key)]


def _witness(key: str, words: GatewayWords, tasks: Iterable[TaskSight], remote: Remote) -> Witness | None:
    sight = words.sessions.get(key)
    here = tasks_in(key, tasks)
    working = next((task for task in here if QUEUED not in {task.execution, task.status}), None)
    waiting = sum(QUEUED in {task.execution, task.status} for task in here)
    if sight is not None and sight.active:
        ids = sight.run_ids or ()
        return Witness(
            WitnessKind.GATEWAY,
            True,
            "the gateway says that a run is active in it",
            run_id=ids[0] if ids else working.run_id if working is not None else None,
            waiting=max(waiting, len(ids) - 1) if ids or here else None,
            since=working.started_at if working is not None else None,
        )
    if working is not None and (working.runtime == CRON or sight is None):
        what = f"the gateway says that a {working.runtime or 'nameless'} task of it is {working.status}"
        return Witness(WitnessKind.GATEWAY, True, what, since=working.started_at, run_id=working.run_id)
    if sight is not None and sight.active is False and remote.sees_all:
        return Witness(WitnessKind.GATEWAY, False, "the gateway says that no run is active in it", waiting=waiting)
    return None


def _nothing_followed(session: Session, words: GatewayWords, at: int, remote: Remote) -> Witness | None:
    """What replaces the log's witness once the attempt that it calls failed turns out to have been the last one."""
    sight = words.sessions.get(session.key)
    if session.active is not None or sight is None or sight.active is not False:
        return None
    if words.tasks is None or not words.all_tasks or tasks_in(session.key, words.tasks):
        return None
    doubt = next((w for w in session.witnesses if w.kind is WitnessKind.LOG and w.running is None), None)
    if doubt is None or doubt.at is None or at - doubt.at < remote.attempts_ms:
        return None
    if any(w.running is not False and w.at is not None and w.at > doubt.at for w in session.witnesses):
        return None  # a next attempt has been seen, however silent it is
    return replace(doubt, running=False, what=f"{doubt.what}, and its gateway has said since that no run is active")


def _left_open(task: TaskSight, gateway_since: int | None) -> bool:
    """2026.6 to 2026.8 never end a task that a crash interrupted."""
    return gateway_since is not None and task.started_at is not None and task.started_at < gateway_since


def _is_of(pattern: str, key: str) -> bool:
    """`agent:*:cron:job` is that job's session in any agent."""
    before, star, after = pattern.partition("*")
    return pattern == key if not star else key.startswith(before) and key.endswith(after)
