"""A gateway's answers as values, checked and bounded.

A field of the wrong type is left out; a session without a key is skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any

from clawtop import nested
from clawtop.core.incident.lane_sources import WORD_EVENTS, WORDS
from clawtop.core.javascript import whole
from clawtop.core.model import LaneStats, RunSight, TaskSight
from clawtop.core.session.key import key_of
from clawtop.core.session.lanes import classify_lane
from clawtop.engine.gateway.errors import GatewayCallError, Trouble
from clawtop.engine.gateway.wire import part, text
from clawtop.values import dataclass

MAX_ROWS = 2_000
MAX_LANES = 500
MAX_WAITS = 60
LONGEST_KEY = 512
LONGEST_ID = 200

OPEN_TASKS = frozenset({"queued", "running"})


def reload_said(payload: Any) -> None:
    """The answer to `secrets.reload`. Raises GatewayCallError unless it says that it was done."""
    if not isinstance(payload, dict) or payload.get("ok") is not True:
        raise GatewayCallError(Trouble.NONSENSE, "secrets.reload answered without saying that it was done")


def sessions_said(payload: Any) -> tuple[Mapping[str, RunSight], bool]:
    """The answer to `sessions.list`: by session key, and whether it lists every session. Raises GatewayCallError."""
    if not isinstance(payload, dict) or not isinstance(payload.get("sessions"), list):
        raise GatewayCallError(Trouble.NONSENSE, "sessions.list answered without a list of sessions")
    rows = payload["sessions"]
    seen = {sight.key: sight for sight in map(_session, rows[:MAX_ROWS]) if sight is not None}
    total = whole(payload.get("totalCount"))
    whole_list = payload.get("hasMore") is False or (total is not None and total <= len(rows))
    return seen, whole_list and len(rows) <= MAX_ROWS


def _session(row: Any) -> RunSight | None:
    key = text(row.get("key"), LONGEST_KEY) if isinstance(row, dict) else None
    if key is None:
        return None
    active, ids = row.get("hasActiveRun"), row.get("activeRunIds")
    return RunSight(
        key=key,
        active=active if isinstance(active, bool) else None,
        run_ids=tuple(_texts(ids)) if isinstance(ids, list) else None,
        status=text(row.get("status"), 40),
    )


def tasks_said(payload: Any) -> tuple[tuple[TaskSight, ...], str | None]:
    """`tasks.list`: unfinished tasks, and the cursor of the next ones; None: there are no more. Raises
    GatewayCallError.
    """
    if not isinstance(payload, dict) or not isinstance(payload.get("tasks"), list):
        raise GatewayCallError(Trouble.NONSENSE, "tasks.list answered without a list of tasks")
    rows, following = payload["tasks"], payload.get("nextCursor")
    cursor = text(following, LONGEST_ID)
    if len(rows) > MAX_ROWS or (following is not None and cursor is None):
        raise GatewayCallError(Trouble.NONSENSE, "tasks.list does not say which tasks come next")
    return tuple(task for task in map(_task, rows) if task is not None), cursor


def _task(row: Any) -> TaskSight | None:
    id_ = text(row.get("taskId") or row.get("id"), LONGEST_ID) if isinstance(row, dict) else None
    status = text(row.get("status"), 40) if id_ is not None else None
    if id_ is None or status not in OPEN_TASKS:
        return None
    runtime = text(row.get("runtime"), 40) or ""
    return TaskSight(
        id=id_,
        key=_task_key(row, runtime),
        runtime=runtime,
        status=status,
        execution=text(part(row, "execution").get("state"), 40),
        run_id=text(row.get("runId"), LONGEST_ID),
        started_at=whole(row.get("startedAt")),
    )


def _task_key(row: Mapping[str, Any], runtime: str) -> str | None:
    """The session of a task. A cron job's task names the session of that one run (2026.8), or none but the job (5.18 to
    7.1), whose session is then `agent:<agent>:cron:<job>`.
    """
    key = text(row.get("childSessionKey"), LONGEST_KEY) or text(row.get("sessionKey"), LONGEST_KEY)
    if runtime != "cron":
        return key
    if key is not None:
        return key.partition(":run:")[0]
    job = text(row.get("sourceId"), LONGEST_ID)
    return None if job is None else key_of(text(row.get("agentId"), 100) or "*", f"cron:{job}")


def lanes_said(payload: Any) -> tuple[LaneStats, ...]:
    """`diagnostics.lanes` (2026.8 and later): load of the global lanes. Raises GatewayCallError."""
    if not isinstance(payload, dict) or not isinstance(payload.get("lanes"), list):
        raise GatewayCallError(Trouble.NONSENSE, "diagnostics.lanes answered without a list of lanes")
    return tuple(_lanes(payload["lanes"][:MAX_LANES]))


def _lanes(rows: Iterable[Any]) -> Iterator[LaneStats]:
    for row in rows:
        name = text(row.get("lane"), LONGEST_KEY) if isinstance(row, dict) else None
        if name is not None:
            yield LaneStats(
                lane=name,
                lane_class=classify_lane(name),
                source=WORDS,
                active=whole(row.get("activeCount")),
                limit=whole(row.get("maxConcurrent")),
                queued=whole(row.get("queuedCount")),
            )


def waits_said(payload: Any) -> tuple[LaneStats, ...]:
    """`diagnostics.stability` (2026.5.18 and later): by lane, what waited in it and how long. Raises GatewayCallError.

    The queue's length is the one of the lane's last event.
    """
    if not isinstance(payload, dict) or not isinstance(payload.get("events"), list):
        raise GatewayCallError(Trouble.NONSENSE, "diagnostics.stability answered without a list of events")
    waits: dict[str, list[int]] = {}
    queued: dict[str, int | None] = {}
    for event in payload["events"][-MAX_ROWS:]:
        kind = event.get("type") if isinstance(event, dict) else None
        name = text(event.get("source"), LONGEST_KEY) if nested.among(kind, _LANE_EVENTS) else None
        if name is None or (name not in queued and len(queued) >= MAX_LANES):
            continue
        queued[name] = whole(event.get("queueSize"))
        waited = whole(event.get("waitMs"))
        if kind == "queue.lane.dequeue" and waited is not None:
            waits.setdefault(name, []).append(waited)
    return tuple(_waiting(name, size, waits.get(name, ())[-MAX_WAITS:]) for name, size in sorted(queued.items()))


_LANE_EVENTS = frozenset({"queue.lane.enqueue", "queue.lane.dequeue"})


def _waiting(name: str, queued: int | None, waits: list[int] | tuple[int, ...]) -> LaneStats:
    ordered = sorted(waits)
    return LaneStats(
        lane=name,
        lane_class=classify_lane(name),
        source=WORD_EVENTS,
        queued=queued,
        wait_p50_ms=_share(ordered, 0.5),
        wait_p95_ms=_share(ordered, 0.95),
        wait_max_ms=ordered[-1] if ordered else None,
        waits=tuple(waits),
    )


def _share(ordered: list[int], share: float) -> int | None:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None


class Abort(StrEnum):
    """ABORTED: the gateway told a run to end; it is not released yet. NO_RUN: it knows of none that it could abort."""

    ABORTED = "aborted"
    NO_RUN = "no-active-run"


@dataclass(frozen=True, slots=True)
class AbortSaid:
    """The answer to `sessions.abort`."""

    status: Abort
    run_id: str | None = None


def abort_said(payload: Any) -> AbortSaid:
    """`sessions.abort`. Raises GatewayCallError where the answer is neither of the two."""
    status = payload.get("status") if isinstance(payload, dict) else None
    if not nested.among(status, set(Abort)):
        raise GatewayCallError(Trouble.NONSENSE, "sessions.abort answered neither aborted nor no-active-run")
    return AbortSaid(Abort(status), text(payload.get("abortedRunId"), LONGEST_ID))


def cancel_said(payload: Any) -> str | None:
    """`tasks.cancel` (2026.5.18 and later): why the task was not cancelled; None where it was."""
    if isinstance(payload, dict) and payload.get("cancelled") is True:
        return None
    return (text(payload.get("reason")) if isinstance(payload, dict) else None) or "it gave no reason"


def _texts(values: list[Any]) -> Iterator[str]:
    return (value for value in values[:100] if isinstance(value, str) and len(value) <= LONGEST_ID)
