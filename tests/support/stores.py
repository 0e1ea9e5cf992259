"""State directories on disk, small ones, for tests that write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

VERSIONS = {"A": "2026.3.28", "B": "2026.5.20", "C": "2026.6.11", "D": "2026.9.6"}
COOLING = {
    "lastUsed": 1_795_214_064_388,
    "cooldownUntil": 4_000_000_000_000,
    "cooldownReason": "rate_limit",
    "cooldownModel": "fake-model",
    "errorCount": 1,
    "failureCounts": {"rate_limit": 1},
    "lastFailureAt": 1_795_214_067_287,
}


def credentials() -> dict[str, Any]:
    """Three profiles of fakeai, one of backupai."""
    key = {"type": "api_key", "provider": "fakeai"}
    return {
        "fakeai:one": {**key, "key": "sk-fake-one-1111"},
        "fakeai:two": {"type": "token", "provider": "fakeai", "token": "tok-fake-two-2222"},
        "fakeai:three": {**key, "key": "sk-fake-three-3333"},
        "backupai:default": {"type": "api_key", "provider": "backupai", "key": "sk-fake-backup-4444"},
    }


def state() -> dict[str, Any]:
    """fakeai:one will be cooling for a long time."""
    return {
        "lastGood": {"fakeai": "fakeai:two"},
        "usageStats": {"fakeai:one": dict(COOLING), "fakeai:two": {"lastUsed": 1_795_214_067_649, "errorCount": 0}},
    }


def make_state_dir(root: Path, generation: str = "B", *, agents: tuple[str, ...] = ("main", "ops")) -> Path:
    """`<root>/.openclaw`: a store of the main agent, the other agents without profiles of their own, no gateway."""
    directory = root / ".openclaw"
    directory.mkdir(mode=0o700)
    config = {
        "meta": {"lastTouchedVersion": VERSIONS[generation]},
        "gateway": {"mode": "local", "port": 1, "bind": "loopback"},
        "agents": {"list": [{"id": agent, "default": agent == "main"} for agent in agents]},
    }
    (directory / "openclaw.json").write_text(json.dumps(config))
    for agent in agents:
        (directory / "agents" / agent / "agent").mkdir(parents=True)
        (directory / "agents" / agent / "sessions").mkdir()
    write_store(directory, "main", generation, credentials(), state())
    return directory


def write_store(
    directory: Path, agent: str, generation: str, profiles: dict[str, Any], changing: dict[str, Any]
) -> None:
    """An agent's auth store, as OpenClaw of that generation writes it."""
    place = directory / "agents" / agent / "agent"
    if generation == "A":
        _write(place / "auth-profiles.json", {"version": 1, "profiles": profiles, **changing})
    else:
        _write(place / "auth-profiles.json", {"version": 1, "profiles": profiles})
        _write(place / "auth-state.json", {"version": 1, **changing})


def auth_state(directory: Path, agent: str = "main", generation: str = "B") -> dict[str, Any]:
    """The current content of the file that changes."""
    name = "auth-profiles.json" if generation == "A" else "auth-state.json"
    found: dict[str, Any] = json.loads((directory / "agents" / agent / "agent" / name).read_bytes())
    return found


def tree(directory: Path) -> dict[str, tuple[bytes, int]]:
    """Every file below: content and mtime, to show that nothing was touched."""
    files = (path for path in sorted(directory.rglob("*")) if path.is_file())
    return {str(path.relative_to(directory)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def _write(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")
    path.chmod(0o600)
