"""Small state directories that tests write, one file at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clawtop.core.model import Snapshot
from clawtop.store.locks.processes import ProcessTable
from clawtop.store.snapshot import SnapshotReader
from tests.support.clocks import ManualClock
from tests.support.processes import FixedProcesses

NOW = 1_795_214_110_000


class StateDir:
    """A state directory of generation B (as the configuration says) with one agent, ready to be damaged."""

    def __init__(self, home: Path, version: str = "2026.5.20") -> None:
        self.home = home
        self.path = home / ".openclaw"
        self.agent_dir = self.path / "agents" / "main" / "agent"
        self.sessions_dir = self.path / "agents" / "main" / "sessions"
        self.agent_dir.mkdir(parents=True)
        self.sessions_dir.mkdir()
        self.clock = ManualClock(NOW)
        self.config({"meta": {"lastTouchedVersion": version}})
        self.profiles({"fakeai:one": {"type": "api_key", "provider": "fakeai", "key": "sk-fake-one-1111"}})

    @property
    def auth_profiles(self) -> Path:
        return self.agent_dir / "auth-profiles.json"

    @property
    def auth_state(self) -> Path:
        return self.agent_dir / "auth-state.json"

    @property
    def sessions_json(self) -> Path:
        return self.sessions_dir / "sessions.json"

    @property
    def openclaw_json(self) -> Path:
        return self.path / "openclaw.json"

    def config(self, value: Mapping[str, Any]) -> None:
        write_json(self.openclaw_json, value)

    def profiles(self, profiles: Mapping[str, Any], **more: Any) -> None:
        write_json(self.auth_profiles, {"version": 1, "profiles": profiles, **more})

    def state(self, **sections: Any) -> None:
        write_json(self.auth_state, {"version": 1, **sections})

    def sessions(self, entries: Mapping[str, Any]) -> None:
        write_json(self.sessions_json, entries)

    def agent(self, name: str) -> tuple[Path, Path]:
        """The agent and sessions directories of another agent, made."""
        agent_dir, sessions_dir = (self.path / "agents" / name / part for part in ("agent", "sessions"))
        agent_dir.mkdir(parents=True)
        sessions_dir.mkdir()
        return agent_dir, sessions_dir

    def reader(self, processes: ProcessTable | None = None, **options: Any) -> SnapshotReader:
        settings: dict[str, Any] = {"env": {"TMPDIR": str(self.home / "tmp")}, "port_probe": None} | options
        return SnapshotReader(
            state_dir=self.path,
            home=self.home,
            clock=self.clock,
            processes=processes or FixedProcesses(),
            **settings,
        )

    def read(self, processes: ProcessTable | None = None, **options: Any) -> Snapshot:
        return self.reader(processes, **options).read()


def write_json(path: Path, value: Any) -> None:
    """Writes as OpenClaw does: to a temporary file, then renamed into place."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, path)  # noqa: PTH105


def codes(snapshot: Snapshot) -> list[str]:
    """The codes of a snapshot's warnings."""
    return [warning.code for warning in snapshot.warnings]
