"""A state directory with something in every file that is read."""

from __future__ import annotations

import json
import os
from pathlib import Path

from clawtop.core.cooldown.marking import Mark
from clawtop.core.model import Event, EventKind, Snapshot
from clawtop.store.own.journal import Journal
from clawtop.store.own.mark_spool import MarkSpool
from clawtop.store.own.recording import Recorder
from tests.faults.work import hold
from tests.support.stores import make_state_dir


def state_with_everything(folder: Path) -> Path:
    """`<folder>/.openclaw`, of 2026.5.20. This process holds its locks and the prompt of one session."""
    state = make_state_dir(folder, "B")
    log = state / "gateway.log"
    config = json.loads((state / "openclaw.json").read_text())
    config |= {
        "logging": {"file": str(log)},
        "$include": ["./part.json"],
        "auth": {"order": {"fakeai": ["fakeai:one"]}},
    }
    (state / "openclaw.json").write_text(json.dumps(config))
    provider = {"baseUrl": "http://x", "headers": {"a": "b"}}
    (state / "part.json").write_text(json.dumps({"models": {"providers": {"fakeai": provider}}}))
    sessions = state / "agents/main/sessions"
    row = {"status": "running", "updatedAt": 5}
    rows = {
        f"agent:main:{name}": {**row, "sessionId": name, "sessionFile": str(sessions / f"{name}.jsonl")}
        for name in ("main", "x")
    }
    (sessions / "sessions.json").write_text(json.dumps(rows))
    said = {"type": "message", "id": "1", "parentId": None, "message": {"role": "user", "content": "hi"}}
    (sessions / "main.jsonl").write_text(_lines({"type": "session", "id": "main"}, said))
    started = {"ts": "2026-11-20T00:00:00.000Z", "type": "session.started", "data": {}}
    (sessions / "main.trajectory.jsonl").write_text(_lines(started))
    lock = {"pid": os.getpid(), "createdAt": "2026-11-20T00:00:00.000Z", "starttime": 5, "maxHoldMs": 5}
    for path in (sessions / "main.jsonl.lock", state / "agents/main/agent/auth-profiles.json.lock"):
        path.write_text(json.dumps(lock))
    decision = {"event": "embedded_run_failover_decision", "decision": "rotate_profile", "runId": "r"}
    line = {"0": '{"subsystem":"agent/embedded"}', "1": decision}
    line2 = {"0": '{"subsystem":"diag"}', "1": 'lane enqueue: lane=main queueSize=1 error="a \\" b"'}
    stamp = {"time": "2026-11-20T00:00:00.000+00:00", "_meta": {"logLevelName": "INFO"}}
    log.write_text(_lines({**line, **stamp}, {**line2, **stamp}))
    (state / "logs").mkdir()
    (state / "logs/config-health.json").write_text(json.dumps({"entries": {str(state / "openclaw.json"): {}}}))
    Journal(state).append(Event(1, EventKind.NOTICE, "fuzz", "said", data={"id": "1", "undo": {"agent": "main"}}))
    MarkSpool(state).put(Mark("main", "fakeai:one", "fakeai", 7, "rate_limit"))
    hold(state)
    recorder = Recorder(state / "x.clawtop", started_at=1, clawtop_version="0")
    recorder.add(Snapshot(1, 5, "host", str(state), None, None))
    recorder.close()
    return state


def _lines(*values: object) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)
