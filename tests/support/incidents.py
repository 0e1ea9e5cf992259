"""Made-up incidents in which what stands on the disk is not what works: each as a snapshot at the time of `worlds`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from clawtop.core.model import (
    EventKind,
    Exchange,
    Gateway,
    GatewayState,
    OpenClawVerdict,
    Problem,
    ProcessEvidence,
    Serving,
    Session,
    Snapshot,
    TurnOutcome,
    UsageStats,
    Verdict,
    VerdictKind,
)
from clawtop.core.operations.edit import FieldChange
from clawtop.core.operations.loaded import with_unloaded
from clawtop.store.gateway.log import LogTail
from clawtop.store.gateway.log_lines import Names
from tests.support.worlds import (
    CALM,
    GATEWAY_PID,
    MINUTE,
    NOW,
    SECOND,
    agent,
    event,
    profile,
    session,
    session_lock,
)

CHAT = "telegram:direct:4001"
LIVE = Gateway(GatewayState.LIVE, GATEWAY_PID, 18789, started_at=NOW - 40 * MINUTE)


def failed(of: Session, seconds: int, error: str) -> Session:
    """With a message of a person that got no answer."""
    asked = NOW - seconds * SECOND
    turn = Exchange(asked, 24, "user", TurnOutcome.FAILED, asked + 45 * SECOND, error)
    return replace(
        of, status="failed", started_at=asked, ended_at=turn.ended_at, updated_at=turn.ended_at, exchanges=(turn,)
    )


# --- the gateway restarts -----------------------------------------------------------------------------------------

_FORMER = 4402
_LEFT = replace(
    session("main", CHAT, 1, "running", started=95 * SECOND, updated=31 * SECOND, how="its gateway is gone"),
    problems=(Problem("ghost", f"agent:main:{CHAT}", "stored as running, but its gateway is gone"),),
)

RESTARTING: Snapshot = replace(
    CALM,
    agents=(agent("main", (profile("openai:prod"), profile("openai:spare"))),),
    sessions=(_LEFT, session("main", "main", 2, updated=4 * MINUTE)),
    gateway=replace(LIVE, started_at=NOW - 8 * SECOND, serving=Serving.REFUSES),
    locks=(
        session_lock(
            _LEFT,
            95 * SECOND,
            Verdict(VerdictKind.STALE, ("dead-pid",)),
            OpenClawVerdict(True, ("dead-pid",), True),
            pid=_FORMER,
            owner=ProcessEvidence(_FORMER, False),
        ),
        CALM.locks[0],
    ),
    events=(
        event(31, EventKind.GATEWAY, "signal SIGTERM received", source="gateway-log"),
        event(8, EventKind.GATEWAY, "gateway starts", source="gateway-log"),
        event(3, EventKind.OPERATION, "done: clear openai:spare", source="operation", profile="openai:spare"),
    ),
)
"""Eight seconds after its start nothing listens yet; a turn of its former life left its lock."""

# --- half of a log ------------------------------------------------------------------------------------------------

_TIMES = ("03:11:31", "03:11:32", "03:11:40", "03:12:06")


def _log_line(time: str, subsystem: str, text: str) -> str:
    return json.dumps({"0": json.dumps({"subsystem": subsystem}), "1": text, "time": f"2026-11-20T{time}.000+00:00"})


def half_written_log(directory: Path) -> Snapshot:
    """A log of which a crash left half a line, on which the next start went on, and whose last line is being written.

    Args:
        directory: an empty one, for the log.
    """
    lines = [
        _log_line(_TIMES[0], "diagnostic", "lane task done: lane=main durationMs=61000 active=1 queued=2"),
        _log_line(_TIMES[1], "diagnostic", "lane task done: lane=main durationMs=2100 active=0 queued=1")[:70]
        + _log_line(_TIMES[2], "gateway", "starting"),
        _log_line(_TIMES[2], "gateway", "ready"),
        _log_line(_TIMES[3], "diagnostic", "lane task done: lane=main durationMs=180 active=0 queued=0"),
    ]
    path = directory / "openclaw-2026-11-20.log"
    path.write_text("\n".join(lines)[:-30])
    tail = LogTail()
    tail.read(path, Names({}, {}))
    problem = tail.problem
    tail.close()
    assert problem is not None
    place = "/tmp/openclaw/openclaw-2026-11-20.log"
    chat = failed(session("main", CHAT, 1), 70, "timeout")
    return replace(
        CALM,
        sessions=(chat, *CALM.sessions),
        gateway=LIVE,
        warnings=(replace(problem, where=place),),
        events=(
            *tail.events,
            event(3, EventKind.OPERATION, "done: clear openai:prod", source="operation", profile="openai:prod"),
        ),
    )


# --- every account out of credit, then cleared --------------------------------------------------------------------

_ACCOUNTS = ("openai:prod", "openai:spare")
_CLEARED = event(
    30,
    EventKind.OPERATION,
    "done: clear openai",
    source="operation",
    agent="main",
    provider="openai",
    data={
        "id": "op-1",
        "kind": "clear",
        "title": "clear openai",
        "outcome": "done",
        "undo": {
            "agent": "main",
            "changes": [
                FieldChange("usageStats", name, "disabledUntil", NOW + 290 * MINUTE, None).to_json()
                for name in _ACCOUNTS
            ],
        },
    },
)

CLEARED_AFTER_402: Snapshot = with_unloaded(
    replace(
        CALM,
        agents=(agent("main", tuple(profile(name, UsageStats(last_used=NOW - 10 * MINUTE)) for name in _ACCOUNTS)),),
        sessions=(
            failed(session("main", CHAT, 1), 75, "402 insufficient credit (billing)"),
            session("main", "main", 2, updated=44 * MINUTE),
        ),
        gateway=LIVE,
        events=(
            *(
                event(600 - n, EventKind.FAILURE, "402 insufficient credit", agent="main", profile=name)
                for n, name in enumerate(_ACCOUNTS)
            ),
            *(
                event(598 - n, EventKind.MARK, "disabled for 5 h: billing", agent="main", profile=name)
                for n, name in enumerate(_ACCOUNTS)
            ),
            _CLEARED,
        ),
    )
)
"""Both are usable by the store, and out for the gateway, which has not loaded it; the last message got no answer."""
