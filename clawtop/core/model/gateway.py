"""The gateway, and what it says about itself and its runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum

from clawtop.values import dataclass


class GatewayState(StrEnum):
    """UNKNOWN, not ABSENT, until the configured port has been tried."""

    LIVE = "live"
    DEAD = "dead"
    ABSENT = "absent"
    UNKNOWN = "unknown"

    @property
    def is_gone(self) -> bool:
        """Whether it is proven that no gateway runs."""
        return self in {GatewayState.DEAD, GatewayState.ABSENT}


@dataclass(frozen=True, slots=True)
class GatewayHealth:
    """What a live gateway said over HTTP on loopback (/healthz, /readyz; 2026.5.18 and later).

    `degraded` is its own report on its event loop; `problem` is why it said nothing, or not everything; `late`: it did
    not answer everything in time when it was asked only once.
    """

    at: int
    live: bool | None = None
    ready: bool | None = None
    failing: tuple[str, ...] = ()
    uptime_ms: int | None = None
    degraded: bool | None = None
    metrics: bool = False
    problem: str | None = None
    late: bool = False


class Serving(StrEnum):
    """The result of querying a gateway's port.

    ANSWERS: OpenClaw answers. SILENT: it accepts connections but never answers: the gateway is frozen, or very busy.
    REFUSES: nothing listens. OTHER: something other than OpenClaw answers. UNKNOWN: not queried.
    """

    ANSWERS = "answers"
    SILENT = "silent"
    REFUSES = "refuses"
    OTHER = "other"
    UNKNOWN = "unknown"


class ProcessCondition(StrEnum):
    """What the kernel lets a process do.

    RUNS: work, or wait for work. PAUSED: nothing: a signal, a debugger or a freezer stopped it. DISK: nothing, until a
    disk responds.
    """

    RUNS = "runs"
    PAUSED = "paused"
    DISK = "disk"


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """A process's use of the machine: bytes of memory and swap, its share of one core, and its memory limit.

    Attributes:
        cpu: of one core since the last look, 0..n; None at the first look.
        limit: bytes that its control group or its JavaScript heap may use, if set.
        waiting: the share of that time during which its main thread, which answers, was ready but got no core (Linux).
    """

    memory: int
    swap: int = 0
    cpu: float | None = None
    limit: int | None = None
    waiting: float | None = None
    condition: ProcessCondition = ProcessCondition.RUNS


@dataclass(frozen=True, slots=True)
class BackendProcess:
    """A process below the gateway that works on runs: a command-line backend's, or an ACP agent's.

    Attributes:
        backend: its runtime's id in the configuration; "acp" for an ACP agent.
        key: the session it works in, if it says so.
        started_at: ms since the epoch.
        memory: bytes that it and everything below it take.
        stays: it outlives its turns, so that it alone does not show a run.
    """

    pid: int
    backend: str
    key: str | None = None
    started_at: int | None = None
    memory: int = 0
    stays: bool = False


@dataclass(frozen=True, slots=True)
class MemoryKill:
    """That a process ended for lack of memory.

    Attributes:
        at: when, or when it was noticed (ms since the epoch).
        pid, name: of the process, if known.
        is_gateway: it was the gateway itself, or possibly its previous process; else one beside or below it. None:
            which of them is not known.
        by_itself: it aborted as its own JavaScript heap was exhausted; the kernel did nothing.
    """

    at: int
    pid: int | None = None
    name: str | None = None
    is_gateway: bool | None = False
    by_itself: bool = False


@dataclass(frozen=True, slots=True)
class RunSight:
    """What a gateway says about the runs of one session (`sessions.list`, 2026.5.18 and later).

    Before 2026.8 it counts only the runs that were asked for over its own API: no cron, heartbeat or channel run.

    Attributes:
        active: `hasActiveRun`; None where it said nothing.
        run_ids: `activeRunIds`; None if it gave none (it may leave them out while a run is active).
        status: as the gateway reports it.
    """

    key: str
    active: bool | None
    run_ids: tuple[str, ...] | None = None
    status: str | None = None


@dataclass(frozen=True, slots=True)
class TaskSight:
    """A task that a gateway has not ended (`tasks.list`).

    Attributes:
        key: the session that it works in; None where the gateway does not say and it cannot be told.
        runtime: "cli", "cron", "subagent", "acp".
        execution: running | queued, if the gateway distinguishes them (2026.9.6).
    """

    id: str
    key: str | None
    runtime: str
    status: str
    execution: str | None = None
    run_id: str | None = None
    started_at: int | None = None


@dataclass(frozen=True, slots=True)
class GatewayWords:
    """What a live gateway says over its WebSocket. Outdated answers are removed from a snapshot, not shown.

    Attributes:
        at: when it was asked and first said so.
        sessions: by key; only those that it named.
        complete: it named every session that it has.
        tasks: None where it was not asked or has no such question. all_tasks: these are all its open ones.
        problem: why it was not asked or did not answer; nothing else is known then. is_ill: an operator should know of
            it: it is not that clawtop may not ask, or that the gateway is starting or busy for a moment.
    """

    at: int
    version: str | None = None
    sessions: Mapping[str, RunSight] = field(default_factory=dict)
    complete: bool = False
    tasks: tuple[TaskSight, ...] | None = None
    all_tasks: bool = True
    problem: str | None = None
    is_ill: bool = False


@dataclass(frozen=True, slots=True)
class Gateway:
    """The gateway of this state directory, and how its state is known.

    Attributes:
        serving: how its port responds to a query.
        has_answered: whether it has answered since its process began: then it is no longer starting.
        silent_since: when it was first seen to be SILENT without an answer since, ms since the epoch.
        distrust: why it is not trusted, although it may be alive: it belongs to a different user than the state
            directory.
        usage: of its process, where it can be seen.
        words: None if it was never queried: no live gateway, or a snapshot that is not live.
        backends: the processes below it that work on runs; None if they cannot be seen.
        memory_kill: the last time that the kernel killed it, or a process of its control group, for lack of memory.
        clock_offset: how many ms its clock, by which all its times are, is ahead of this machine's; negative: behind.
        others: gateways of other configurations that keep their locks where it does: their pids.
    """

    state: GatewayState = GatewayState.UNKNOWN
    pid: int | None = None
    port: int | None = None
    started_at: int | None = None
    how: str = ""
    health: GatewayHealth | None = None
    words: GatewayWords | None = None
    serving: Serving = Serving.UNKNOWN
    distrust: str | None = None
    silent_since: int | None = None
    has_answered: bool = False
    usage: ProcessUsage | None = None
    backends: tuple[BackendProcess, ...] | None = None
    memory_kill: MemoryKill | None = None
    others: tuple[int, ...] = ()
    clock_offset: int = 0
