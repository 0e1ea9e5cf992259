"""What can end the run that holds a session: depends on whose run it is, what its gateway offers, and what is allowed
here.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from enum import StrEnum

from clawtop.core.model import GatewayState, TaskSight
from clawtop.core.rules import Remote
from clawtop.core.session.lanes import LaneClass, classify_session_key
from clawtop.core.session.proof import Access
from clawtop.values import dataclass


class Means(StrEnum):
    """ABORT: the gateway aborts the session's run (`sessions.abort`, needs operator.admin for another client's run).
    CANCEL: the gateway cancels a cron job's task (`tasks.cancel`). STOP: the run's own processes are stopped.
    TYPE: a command that the operator types. WAIT: it ends by itself. RESTART: only a restart of the gateway ends it.
    """

    ABORT = "abort"
    CANCEL = "cancel"
    STOP = "stop"
    TYPE = "type"
    WAIT = "wait"
    RESTART = "restart"


AUTOMATIC = frozenset({Means.ABORT, Means.CANCEL, Means.STOP})
"""What a drain does itself, when it is allowed to."""


@dataclass(frozen=True, slots=True)
class OwnProcess:
    """A run's own process below the gateway. `since`: its start (ms since the epoch). `memory`: bytes, with all below
    it.
    """

    pid: int
    since: int | None = None
    memory: int = 0


@dataclass(frozen=True, slots=True)
class Remedy:
    """One remedy. `words` say what it does, or why nothing else does. `command`: to type. `task`: to cancel.
    `process`: to stop, with everything below it.
    """

    means: Means
    words: str
    command: str | None = None
    task: str | None = None
    process: OwnProcess | None = None


@dataclass(frozen=True, slots=True)
class HeldRun:
    """What is known of the run.

    Attributes:
        answers: whether the gateway counts it among the runs requested over its API; None: not queried.
        task: its cron task, where it has one.
        process: its own, below the gateway.
        quiet_ms: since its last sign of life.
    """

    key: str | None
    answers: bool | None = None
    task: TaskSight | None = None
    process: OwnProcess | None = None
    quiet_ms: int | None = None


def remedies(
    run: HeldRun, remote: Remote, gateway: GatewayState, access: Access, *, abort_ms: int
) -> tuple[Remedy, ...]:
    """The remedies that work for this run, the best first. `abort_ms`: after this long without progress the gateway
    acts.
    """
    return tuple(_remedies(run, remote, gateway, access, abort_ms))


def _remedies(run: HeldRun, remote: Remote, gateway: GatewayState, access: Access, abort_ms: int) -> Iterator[Remedy]:
    lane = classify_session_key(run.key or "")
    reachable = remote.aborts_all or run.answers is not False
    if gateway is GatewayState.LIVE and run.key is not None:
        if access is Access.OPEN and remote.grants:
            if remote.aborts_all or run.answers:
                yield Remedy(Means.ABORT, "the gateway aborts it (sessions.abort, with operator.admin)")
            if run.task is not None and remote.cancels_cron:
                yield Remedy(Means.CANCEL, "the gateway cancels its task (tasks.cancel)", task=run.task.id)
        elif reachable and lane is not LaneClass.CRON:
            yield Remedy(Means.TYPE, "OpenClaw's own command aborts it", command=abort_command(run.key))
    if run.process is not None:
        memory = f", {run.process.memory >> 20} MB" if run.process.memory else ""
        what = f"its own process {run.process.pid} under the gateway is stopped, with its children{memory}"
        yield Remedy(Means.STOP, what, process=run.process)
    if gateway is not GatewayState.LIVE:
        return
    if not reachable or (lane in _UNREACHED and not remote.aborts_all and run.task is None and not run.answers):
        yield Remedy(Means.RESTART, f"this version cannot abort {_whose(lane)}; restarting the gateway ends it")
    if remote.aborts_stuck:
        yield Remedy(Means.WAIT, gateway_abort(run.quiet_ms, abort_ms))


_UNREACHED = frozenset({LaneClass.CRON, LaneClass.HEARTBEAT})


def _whose(lane: LaneClass) -> str:
    if lane is LaneClass.CRON:
        return "a cron job's run"
    if lane is LaneClass.HEARTBEAT:
        return "a heartbeat"
    return "a run that was not asked for over the gateway's API (a channel's, a heartbeat's)"


def gateway_abort(quiet_ms: int | None, abort_ms: int) -> str:
    """When the gateway gives up a run that makes no progress (it checks every 30 s)."""
    rule = f"the gateway itself aborts a run that makes no progress for {_span(abort_ms)}"
    if quiet_ms is None:
        return rule
    left = abort_ms - quiet_ms
    return f"{rule}: in {_span(left)}" if left > 0 else f"{rule}: at its next check"


def _span(ms: int) -> str:
    minutes, seconds = divmod(max(0, ms) // 1000, 60)
    return f"{minutes}m{seconds:02d}s" if minutes else f"{seconds}s"


def abort_command(key: str) -> str:
    """What an operator types to have the gateway abort a session's run. OpenClaw's command must be paired."""
    params = json.dumps({"key": key})
    return shlex.join(("openclaw", "gateway", "call", "sessions.abort", "--params", params))


def queue_words(waiting: tuple[str, ...], remote: Remote) -> str | None:
    """What an abort does to what waits behind the run; None where nothing does, or nothing aborts."""
    if not waiting and (remote.stores_queue or not remote.grants):
        return None
    if not waiting:
        fate = "an abort drops it" if remote.drops_queue else "after an abort it starts within seconds"
        return f"anything a chat has sent meanwhile waits behind it unseen on this version: {fate}"
    who = ", ".join(waiting[:5]) + (f" and {len(waiting) - 5} more" if len(waiting) > 5 else "")
    count = f"{len(waiting)} input{'s wait' if len(waiting) > 1 else ' waits'} behind it ({who})"
    if remote.drops_queue:
        return f"{count}: an abort drops {'them' if len(waiting) > 1 else 'it'}"
    return f"{count}: after an abort the next one starts within seconds"
