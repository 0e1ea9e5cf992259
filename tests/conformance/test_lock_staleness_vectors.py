"""Lock staleness of OpenClaw, row by row, through the parts of `openclaw_verdict`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from clawtop.core.generations import generation_of, storage_of
from clawtop.core.locks.session_rules import (
    Inspection,
    inspect_for_session,
    inspect_payload,
    looks_like_openclaw,
    would_reclaim,
)
from clawtop.core.model import Generation, ProcessEvidence
from tests.conformance.harness import Row, replay
from tests.conformance.openclaw_only import max_hold_from_timeout, write_lock_options

PIDS = {"$LIVE": 4001, "$SELF": 4002, "$DEAD": 4003}
SOME_OTHER_TICKS = 7_654_321


@replay("lock-staleness")
def test_lock_staleness(row: Row) -> None:
    assert REPLAYS[row.raw["fn"]](generation_of(row.version), row.input) == row.expected


def inspected(_generation: Generation | None, given: Mapping[str, Any]) -> dict[str, Any]:
    payload, owner = case(given)
    found = inspect_payload(
        payload,
        owner,
        given["nowMs"],
        given["staleMs"],
        respect_max_hold=given.get("respectMaxHold", False),
    )
    return details(found)


def inspected_for_session(generation: Generation | None, given: Mapping[str, Any]) -> dict[str, Any]:
    payload, owner = case(given)
    found = inspect_for_session(
        payload,
        owner,
        given["nowMs"],
        given["staleMs"],
        storage_of(generation).session_locks,
        own_pid=PIDS["$SELF"],
        held_by_own=given["heldByThisProcess"],
        reclaim_without_ticks=given["reclaimLockWithoutStarttime"],
        respect_max_hold=given.get("respectMaxHold", False),
    )
    return details(found)


def reclaimed(generation: Generation | None, given: Mapping[str, Any]) -> bool:
    reasons = tuple(given["details"]["staleReasons"])
    found = Inspection(None, False, None, None, reasons)
    assert found.stale == given["details"]["stale"]
    age = None if given.get("lockFileMissing") else given["lockFileMtimeAgeMs"]
    return would_reclaim(found, age, given["staleMs"], storage_of(generation).session_locks)


def options(generation: Generation | None, given: Mapping[str, Any]) -> dict[str, Any]:
    write_lock = ((given["config"] or {}).get("session") or {}).get("writeLock")
    resolved = write_lock_options(storage_of(generation).write_lock, write_lock, given["env"])
    return {name: "Infinity" if math.isinf(value) else value for name, value in resolved.items()}


def max_hold(_generation: Generation | None, given: Mapping[str, Any]) -> float:
    figures = {name: math.inf if value == "Infinity" else value for name, value in given.items()}
    return max_hold_from_timeout(figures.get("timeoutMs"), grace_ms=figures.get("graceMs"), min_ms=figures.get("minMs"))


def case(given: Mapping[str, Any]) -> tuple[dict[str, Any] | None, ProcessEvidence | None]:
    """The row's payload with real pids for its symbols, and what the process table says of its owner."""
    if given["payload"] is None:
        return None, None
    payload = dict(given["payload"])
    symbol = payload.get("pid")
    if symbol not in PIDS:
        return payload, None
    payload["pid"] = PIDS[symbol]
    ticks = given.get("currentStarttime", payload.get("starttime"))
    return payload, ProcessEvidence(
        PIDS[symbol],
        alive=symbol != "$DEAD",
        start_ticks=ticks if isinstance(ticks, int) else SOME_OTHER_TICKS,
        argv=tuple(given.get("ownerArgs") or ()),
    )


def details(found: Inspection) -> dict[str, Any]:
    symbols = {pid: symbol for symbol, pid in PIDS.items()}
    return {
        "pid": symbols.get(found.pid) if found.pid is not None else None,
        "pidAlive": found.pid_alive,
        "createdAt": found.created_at,
        "ageMs": found.age_ms,
        "stale": found.stale,
        "staleReasons": list(found.reasons),
    }


REPLAYS = {
    "inspectLockPayload": inspected,
    "inspectLockPayloadForSession": inspected_for_session,
    "shouldReclaimContendedLockFile": reclaimed,
    "isOpenClawSessionOwnerArgv": lambda _generation, given: looks_like_openclaw(given["args"]),
    "resolveSessionLockMaxHoldFromTimeout": max_hold,
    "resolveSessionWriteLockOptions": options,
}
