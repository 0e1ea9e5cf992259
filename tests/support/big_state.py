"""A large state directory of generation B, as a busy installation has it: 8 agents, 200 profiles, 2,000 sessions, 500
locks. Entries carry the skill snapshots and prompt reports that make real ones several kilobytes long.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NOW = 1_795_214_110_000
PROVIDERS = ("anthropic", "openai", "google", "fakeai", "mistral", "groq", "xai", "deepseek")
REASONS = ("rate_limit", "overloaded", "billing", "auth")
LANES = ("main", "main:heartbeat", "telegram:direct:{n}", "discord:channel:{n}", "cron:job-{n}", "explicit:{n}")
STATUSES = ("done",) * 14 + ("failed",) * 3 + ("killed", "timeout", "running")
DEAD_PIDS = range(3_900_000, 4_100_000)


@dataclass(frozen=True)
class BigState:
    """What was made: its directory, and the paths that a benchmark changes."""

    state_dir: Path
    agents: tuple[str, ...]

    @property
    def auth_state(self) -> Path:
        return self.state_dir / "agents" / "main" / "agent" / "auth-state.json"

    @property
    def sessions(self) -> Path:
        return self.state_dir / "agents" / "main" / "sessions" / "sessions.json"


def make(
    root: Path,
    *,
    agents: int = 8,
    profiles: int = 200,
    sessions: int = 2_000,
    locks: int = 500,
    now: int = NOW,
    seed: int = 1,
) -> BigState:
    """Write the directory below `root`. The same arguments give the same bytes."""
    chance = random.Random(seed)
    state_dir = root / ".openclaw"
    names = ("main", *(f"agent-{number}" for number in range(1, agents)))
    state_dir.mkdir(parents=True, mode=0o700)
    own = [profiles // agents + (number < profiles % agents) for number in range(agents)]
    for number, name in enumerate(names):
        agent_dir = state_dir / "agents" / name / "agent"
        agent_dir.mkdir(parents=True)
        ids = [f"{PROVIDERS[index % len(PROVIDERS)]}:{name}-{index}" for index in range(own[number])]
        _write(agent_dir / "auth-profiles.json", {"version": 1, "profiles": {i: _credential(i) for i in ids}}, indent=2)
        _write(agent_dir / "auth-state.json", _auth_state(ids, now, chance), indent=2)
        count = sessions // agents + (number < sessions % agents)
        _sessions(state_dir, name, count, now, chance)
        _locks(state_dir / "agents" / name / "sessions", locks // agents + (number < locks % agents), now, chance)
    _write(state_dir / "openclaw.json", _config(names), indent=2)
    return BigState(state_dir, names)


def _credential(profile_id: str) -> dict[str, Any]:
    return {
        "type": "api_key",
        "provider": profile_id.partition(":")[0],
        "key": f"sk-fake-{profile_id.replace(':', '-')}",
    }


def _auth_state(ids: list[str], now: int, chance: random.Random) -> dict[str, Any]:
    stats: dict[str, Any] = {}
    for profile_id in ids:
        entry: dict[str, Any] = {"lastUsed": now - chance.randrange(86_400_000), "errorCount": 0}
        if chance.random() < 0.3:
            reason = chance.choice(REASONS)
            entry |= {"errorCount": 2, "failureCounts": {reason: 2}, "lastFailureAt": now - 20_000}
            key = "disabled" if reason == "billing" else "cooldown"
            entry |= {f"{key}Until": now + chance.randrange(600_000), f"{key}Reason": reason}
        stats[profile_id] = entry
    last_good = {profile_id.partition(":")[0]: profile_id for profile_id in ids}
    return {"version": 1, "lastGood": last_good, "usageStats": stats}


def _sessions(state_dir: Path, agent: str, count: int, now: int, chance: random.Random) -> None:
    directory = state_dir / "agents" / agent / "sessions"
    directory.mkdir()
    entries: dict[str, Any] = {}
    for number in range(count):
        session_id = _session_id(agent, number)
        key = f"agent:{agent}:" + LANES[number % len(LANES)].format(n=number) + (f":{number}" if number > 1 else "")
        file = directory / f"{session_id}.jsonl"
        status = chance.choice(STATUSES)
        started = now - chance.randrange(3_600_000)
        entries[key] = _session(session_id, file, status, started, chance)
        header = {"type": "session", "version": 3, "id": session_id, "timestamp": "2026-11-20T22:34:55.548Z"}
        file.write_text(json.dumps(header) + "\n", encoding="utf-8")
        if status == "running":
            event = {"type": "prompt.submitted", "ts": "2026-11-20T22:35:01.526Z", "sessionKey": key, "data": {}}
            (directory / f"{session_id}.trajectory.jsonl").write_text(json.dumps(event) + "\n", encoding="utf-8")
    _write(directory / "sessions.json", entries, indent=2)


def _session_id(agent: str, number: int) -> str:
    return f"{_number_of(agent):08x}-0000-4000-8000-{number:012x}"


def _number_of(text: str) -> int:
    """A number that is the same in every process."""
    return int.from_bytes(text.encode()[:4].ljust(4, b"."), "big")


def _session(session_id: str, file: Path, status: str, started: int, chance: random.Random) -> dict[str, Any]:
    skills = [
        {
            "name": f"skill-{number}",
            "description": "what this skill is for, in a sentence or two " * 3,
            "path": f"/skills/{number}",
        }
        for number in range(20)
    ]
    entry: dict[str, Any] = {
        "sessionId": session_id,
        "updatedAt": started + 5_000,
        "sessionStartedAt": started - 60_000,
        "lastInteractionAt": started,
        "skillsSnapshot": {"prompt": "", "skills": skills, "version": 0},
        "sessionFile": str(file),
        "status": status,
        "startedAt": started,
        "abortedLastRun": False,
        "contextTokens": 64_000,
        "modelProvider": chance.choice(PROVIDERS),
        "model": "fake-model",
        "agentHarnessId": "pi",
        "systemPromptReport": {"source": "run", "generatedAt": started, "sections": ["x" * 60] * 12},
        "inputTokens": 10,
        "outputTokens": 3,
        "totalTokens": 13,
        "totalTokensFresh": True,
        "compactionCount": 0,
    }
    return entry if status == "running" else entry | {"endedAt": started + 5_000, "runtimeMs": 5_000}


def _locks(directory: Path, count: int, now: int, chance: random.Random) -> None:
    files = sorted(directory.glob("*-8000-*.jsonl"))
    transcripts = [file for file in files if not file.name.endswith(".trajectory.jsonl")]
    for file in transcripts[:count]:
        payload = {"pid": chance.choice(DEAD_PIDS), "createdAt": "2026-11-20T22:20:00.000Z", "starttime": 429_440}
        _write(file.with_name(file.name + ".lock"), payload, indent=2)


def _config(names: tuple[str, ...]) -> dict[str, Any]:
    return {
        "meta": {"lastTouchedVersion": "2026.5.20"},
        "gateway": {"mode": "local", "port": 18_999, "bind": "loopback"},
        "auth": {"profiles": {}, "order": {}},
        "agents": {
            "defaults": {"model": {"primary": "anthropic/fake-model", "fallbacks": ["openai/fake-model"]}},
            "list": [{"id": name, "default": name == "main"} for name in names],
        },
    }


def _write(path: Path, value: Any, *, indent: int) -> None:
    path.write_text(json.dumps(value, indent=indent) + "\n", encoding="utf-8")
    path.chmod(0o600)
