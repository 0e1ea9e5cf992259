"""Made-up incidents in which the disk differs from what the gateway uses: snapshots at the time of `worlds`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
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
    Witness,
    WitnessKind,
)
from clawtop.core.operations.edit import FieldChange
from clawtop.core.operations.loaded import with_unloaded
from clawtop.core.session.disk_witness import CommandLine, TrajectoryRun, status_witness, trajectory_witnesses
from clawtop.core.session.log_runs import LogRuns
from clawtop.core.session.openclaw_runs import heard, heard_sessions
from clawtop.store.gateway.log import LogTail
from clawtop.store.gateway.log_lines import Names, parse_line
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
    """With an unanswered message from a person."""
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
"""Eight seconds after its start nothing listens yet; a turn from before the restart left its lock."""

# --- half of a log ------------------------------------------------------------------------------------------------

_TIMES = ("03:11:31", "03:11:32", "03:11:40", "03:12:06")


def _log_line(time: str, subsystem: str, text: str) -> str:
    return json.dumps({"0": json.dumps({"subsystem": subsystem}), "1": text, "time": f"2026-11-20T{time}.000+00:00"})


def half_written_log(directory: Path) -> Snapshot:
    """A log in which a crash left half a line that the next start continued, and whose last line is still being
    written.

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
"""Both are usable in the store but not for the gateway, which has not loaded it; the last message got no answer."""

# --- runs that are easily missed ----------------------------------------------------------------------------------


def _told(of: Snapshot, lines: Iterable[str], witnesses: Mapping[str, Iterable[Witness | None]]) -> Snapshot:
    """The snapshot with what a gateway's log says, line by line, and with other witnesses; judged anew."""
    names = Names({}, {})
    events = tuple(event for line in lines if (event := parse_line(line, names)) is not None)
    runs = LogRuns()
    runs.follow(events)
    heard_of = {key: [run.witness()] for key, run in runs.runs.items()}
    for key, others in witnesses.items():
        heard_of.setdefault(key, []).extend(witness for witness in others if witness is not None)
    turns = {key: [turn for whose, turn in runs.turns if whose == key] for key in runs.runs}
    told = replace(of, events=events)
    return heard(replace(told, sessions=heard_sessions(told, {}, turns)), heard_of)


def _diagnostic(time: str, text: str) -> str:
    return f"2026-11-20T{time}.000+00:00 [diagnostic] {text}"


def _stalled(time: str, key: str, age: int, queued: int = 0, recovery: str = "none") -> str:
    return _diagnostic(
        time,
        f"stalled session: sessionId=unknown sessionKey={key} state=processing age={age}s queueDepth={queued} "
        "reason=active_work_without_progress classification=stalled_agent_run activeWorkKind=model_call "
        f"lastProgress=model_call:started lastProgressAge={age}s recovery={recovery}",
    )


_JOB = session("main", "cron:3f1c77aa-0d54-4be1-9a2e-5d8f1c0b9e10", 3, lane="cron", updated=24 * 60 * MINUTE)
_JOB_RUN = f"{_JOB.key}:run:7a0d2c1e-55b3-4f7c-8f0e-2f6f5b1d9c44"

CRON_HUNG: Snapshot = _told(
    replace(CALM, sessions=(_JOB, *CALM.sessions), gateway=LIVE),
    (_stalled("03:08:30", _JOB_RUN, 149), _stalled("03:11:00", _JOB_RUN, 299)),
    {_JOB.key: [status_witness(_JOB, LIVE, NOW)]},
)
"""A job's run hangs in its model call. The row tells of yesterday's run; the log names the run and not the row."""

_LOCAL = session("main", "explicit:999e4c10-1b1f-4c55-9d0b-7f3f0a0f1f11", 6, lane="other", updated=3 * MINUTE)
_TYPED = ProcessEvidence(
    8123, True, 90001, NOW - 75 * SECOND, None, ("node", "/usr/bin/openclaw", "agent", "--local"), 1000
)
_LOCAL_RUN = TrajectoryRun(NOW - 70 * SECOND, "prompt.submitted", since=NOW - 72 * SECOND, run_id="run-41aa")

LOCAL_RUN: Snapshot = _told(
    replace(CALM, sessions=(_LOCAL, *CALM.sessions), gateway=LIVE, command_line=(_TYPED,)),
    (),
    {
        _LOCAL.key: (
            *trajectory_witnesses([_LOCAL_RUN], LIVE, NOW, CommandLine((_TYPED,), NOW), status=_LOCAL.status),
            Witness(WitnessKind.GATEWAY, False, "the gateway knows of no run in it"),
            status_witness(_LOCAL, LIVE, NOW),
        )
    },
)
"""`openclaw agent --local` waits for its model: the row says "done", and the gateway knows nothing of it."""

_QUEUED = replace(
    session("main", CHAT, 1, "killed", updated=47 * SECOND, started=6 * MINUTE),
    exchanges=(Exchange(NOW - 6 * MINUTE, 24, "user", TurnOutcome.STOPPED, NOW - 47 * SECOND),),
)

AFTER_RECOVERY: Snapshot = _told(
    replace(CALM, sessions=(_QUEUED, *CALM.sessions), gateway=LIVE),
    (
        _stalled("03:08:50", _QUEUED.key, 149, 1),
        _stalled("03:11:20", _QUEUED.key, 300, 1, "checking"),
        _diagnostic(
            "03:11:20",
            f"stuck session recovery: sessionId={_QUEUED.session_id} sessionKey={_QUEUED.key} age=300s "
            "action=abort_embedded_run aborted=true drained=true released=0",
        ),
        _diagnostic("03:11:21", f"lane dequeue: lane=session:{_QUEUED.key} waitMs=121000 queueSize=0"),
        _diagnostic(
            "03:11:21",
            f"session state: sessionId={_QUEUED.session_id} sessionKey={_QUEUED.key} prev=idle new=processing "
            "reason=run_started queueDepth=0",
        ),
    ),
    {_QUEUED.key: [status_witness(_QUEUED, LIVE, NOW)]},
)
"""The gateway aborted a hung run and answers the message that waited behind it; the row says "killed"."""
