"""A gateway's state at some moment, written by hand: sessions with their transcripts, accounts, log and locks.

Times are ms before NOW unless they are named otherwise.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clawtop.cli.common import _incident_parts
from clawtop.core.model import ProcessEvidence, Snapshot
from clawtop.view.report import report
from tests.support.processes import FixedProcesses, alive
from tests.support.states_made import NOW, StateDir, write_json

PID, TICKS = 4_711, 900
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
STARTED = 2 * HOUR
"""How long the gateway has been running."""


def iso(ago: int) -> str:
    return datetime.fromtimestamp((NOW - ago) / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Made(StateDir):
    """Generation B with one provider, one model, two accounts, and a gateway that lives."""

    def __init__(self, home: Path, **config: Any) -> None:
        super().__init__(home)
        self.log = home / "gateway.log"
        self.configure(**config)
        self.accounts("fakeai:one", "fakeai:two")
        self.processes = FixedProcesses({PID: alive(PID, ticks=TICKS, started_at=NOW - STARTED, boot_at=NOW - 9 * DAY)})
        self.gateway_lock()
        self._entries: dict[str, dict[str, Any]] = {"main": {}}

    def configure(self, *, model: Any = "fakeai/m", agents: Any = None, **more: Any) -> None:
        """openclaw.json. `agents`: its list."""
        self.config(
            {
                "meta": {"lastTouchedVersion": "2026.5.20"},
                "gateway": {"mode": "local", "port": 1},
                "logging": {"file": str(self.log)},
                "agents": {"defaults": {"model": model}, **({} if agents is None else {"list": agents})},
                **more,
            }
        )

    def accounts(self, *names: str, stats: dict[str, Any] | None = None, **sections: Any) -> None:
        """API keys by profile id, and what is known of them."""
        self.profiles(
            {name: {"type": "api_key", "provider": name.partition(":")[0], "key": f"sk-{name}-1"} for name in names}
        )
        self.state(usageStats=stats or {}, **sections)

    def gateway_lock(self, *, began: int = STARTED, pid: int = PID, ticks: int = TICKS) -> Path:
        digest = hashlib.sha256(str(self.openclaw_json).encode()).hexdigest()[:8]
        path = self.home / "tmp" / f"openclaw-{os.getuid()}" / f"gateway.{digest}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        said = {"pid": pid, "createdAt": iso(began), "configPath": str(self.openclaw_json), "startTime": ticks}
        path.write_text(json.dumps(said))
        return path

    def session(
        self, key: str, *said: tuple[Any, ...], agent: str = "main", id_: str | None = None, **entry: Any
    ) -> Path:
        """A row of sessions.json and its transcript; returns that. `said`: what `user`, `bot` and others make."""
        directory = self.path / "agents" / agent / "sessions"
        directory.mkdir(parents=True, exist_ok=True)
        id_ = id_ or hashlib.sha256(key.encode()).hexdigest()[:12]
        file = directory / f"{id_}.jsonl"
        rows: list[dict[str, Any]] = [{"type": "session", "version": 3, "id": id_, "timestamp": iso(DAY)}]
        for number, (ago, message) in enumerate(said):
            whole = {"timestamp": NOW - ago, **message}
            rows.append({"type": "message", "id": f"m{number}", "timestamp": iso(ago), "message": whole})
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        last = min((ago for ago, _ in said), default=DAY)
        self._entries.setdefault(agent, {})[key] = {
            "sessionId": id_, "sessionFile": str(file), "updatedAt": NOW - last, "modelProvider": "fakeai",
            "model": "m", "status": "done", **entry,
        }  # fmt: skip
        write_json(directory / "sessions.json", self._entries[agent])
        return file

    def logged(self, *lines: tuple[int, str, Any]) -> None:
        """Lines of the gateway's log: (ago, subsystem, text or facts)."""
        with self.log.open("a") as log:
            for ago, subsystem, body in lines:
                log.write(log_line(ago, subsystem, body) + "\n")

    def seen(self, **options: Any) -> Snapshot:
        reader = self.reader(
            self.processes,
            **{"port_probe": lambda _port: False, "extra_parts": _incident_parts(argparse.Namespace()), **options},
        )
        reader.read()
        return reader.read()

    def told(self, **options: Any) -> dict[str, Any]:
        """`status --json`."""
        return dict(report(self.seen(**options)))


def log_line(ago: int, subsystem: str, body: Any) -> str:
    name = json.dumps({"subsystem": subsystem})
    return json.dumps({"0": name, "1": body, "_meta": {"date": iso(ago), "logLevelName": "WARN"}, "time": iso(ago)})


def user(ago: int, text: str = "is anybody there?") -> tuple[int, dict[str, Any]]:
    return ago, {"role": "user", "content": [{"type": "text", "text": text}]}


def bot(ago: int, text: str = "here", reason: str = "stop", **more: Any) -> tuple[int, dict[str, Any]]:
    content = [{"type": "text", "text": text}]
    return ago, {"role": "assistant", "content": content, "stopReason": reason, "provider": "fakeai", **more}


def tool_call(ago: int) -> tuple[int, dict[str, Any]]:
    content = [{"type": "toolCall", "id": "t1", "name": "exec", "arguments": {"command": "sleep 600"}}]
    return ago, {"role": "assistant", "content": content, "stopReason": "toolUse", "provider": "fakeai"}


def tool_result(ago: int) -> tuple[int, dict[str, Any]]:
    return ago, {"role": "toolResult", "toolCallId": "t1", "content": [{"type": "text", "text": "done"}]}


def causes(told: dict[str, Any]) -> dict[str, str]:
    return {cause["code"]: cause["text"] for cause in told["health"]["causes"]}


def rows(told: dict[str, Any], keys: Iterable[str] = ()) -> dict[str, Any]:
    return {row["key"]: row for row in told["sessions"] if not keys or row["key"] in keys}


def dead(pid: int) -> ProcessEvidence:
    return ProcessEvidence(pid, alive=False)
