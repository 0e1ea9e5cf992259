"""The runs in a session's trajectory, read from the end of the file.

A trajectory says when an attempt began and ended (2026.5.20 writes it as it goes, 2026.6.11 when the run is over). A
run that rotates has one start and one end for each attempt, under one run id. Between two models of its chain, and
after the last one, there is a step entry; a run that is aborted while it waits has nothing else (2026.6.11).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clawtop.core.javascript import parse_date
from clawtop.core.session.disk_witness import TrajectoryRun
from clawtop.nested import mapping
from clawtop.store.sessions.tail import entry_of, last_lines
from clawtop.store.wire import text

TRAJECTORY_SUFFIX = ".trajectory.jsonl"
STARTED, ENDED, STEP = "session.started", "session.ended", "model.fallback_step"
LOOKED_AT_LINES = 16
"""A run writes seven lines; those of the run before give its start."""

_LONG_LINE = 16 * 1024
_HEAD_BYTES = 8 * 1024
_DATA = b',"data":'


def trajectory_path(session_file: str) -> str:
    """The trajectory beside a transcript."""
    return session_file.removesuffix(".jsonl") + TRAJECTORY_SUFFIX


def trajectory_runs(path: str) -> tuple[TrajectoryRun, ...]:
    """The last runs of a trajectory, by their last event; none if there is no such file or nothing to read."""
    runs: dict[object, TrajectoryRun] = {}
    for line in last_lines(path, least=LOOKED_AT_LINES):
        event = _event(line, path)
        at = parse_date(event["ts"]) if event is not None and isinstance(event.get("ts"), str) else None
        if event is None or at is None:
            continue
        run_id = text(event.get("runId"))
        known = runs.pop(run_id, None)
        if known is not None and known.status == "success" and event.get("type") == STARTED:
            runs[run_id, known.at] = known  # an id that is used again, as --session-id does
            known = None
        runs[run_id] = _continued(known, event, at, run_id)
    return tuple(runs.values())


def _event(line: bytes, path: str) -> Mapping[str, Any] | None:
    """An event; a long one (with a whole prompt in its data) without the data."""
    if len(line) > _LONG_LINE:
        head, found, _ = line[:_HEAD_BYTES].partition(_DATA)
        short = entry_of(head + b"}", path) if found else None
        if short is not None:
            return short
    return entry_of(line, path)


def _continued(known: TrajectoryRun | None, event: Mapping[str, Any], at: int, run_id: str | None) -> TrajectoryRun:
    kind = text(event.get("type")) or ""
    data = mapping(event.get("data"))
    if kind == STEP:
        return _stepped(known, text(data.get("fallbackStepFinalOutcome")), at, run_id)
    if kind == STARTED:
        started = known if known is not None else TrajectoryRun(at, kind, run_id=run_id, since=at, attempts=0)
        return replace(
            started,
            at=at,
            type=kind,
            status=None,
            attempts=started.attempts + 1,
            provider=text(event.get("provider")),
            model=text(event.get("modelId")),
            trigger=text(data.get("trigger")) or started.trigger,
        )
    before = known if known is not None else TrajectoryRun(at, kind, run_id=run_id)
    return replace(
        before,
        at=at,
        type=kind,
        status=text(data.get("status")),
        provider=text(event.get("provider")) or before.provider,
        model=text(event.get("modelId")) or before.model,
        timed_out=data.get("timedOut") is True,
        aborted=data.get("aborted") is True or data.get("externalAbort") is True,
    )


def _stepped(known: TrajectoryRun | None, outcome: str | None, at: int, run_id: str | None) -> TrajectoryRun:
    """A step is written when an attempt is over: the next model follows, or none does."""
    before = known if known is not None else TrajectoryRun(at, ENDED, run_id=run_id, attempts=0)
    answered = outcome == "succeeded" or before.status == "success"
    status = "success" if answered else "error"
    return replace(before, at=at, type=ENDED, status=status, exhausted=outcome == "chain_exhausted")
