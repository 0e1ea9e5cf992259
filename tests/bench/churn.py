"""Changes 5 % of the rows of a large state directory four times a second until it is ended.

python -m tests.bench.churn STATE_DIR
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path

PERIOD = 0.25
SHARE = 0.05


def main(state_dir: Path) -> None:
    """Profiles, sessions and locks change in one agent after the other, together 5 % of all rows each time."""
    chance = random.Random(2)
    homes = sorted((state_dir / "agents").iterdir())
    states = {home: json.loads((home / "agent" / "auth-state.json").read_text()) for home in homes}
    sessions = {home: json.loads((home / "sessions" / "sessions.json").read_text()) for home in homes}
    locks = sorted(state_dir.rglob("*.jsonl.lock"))
    profiles_each = max(1, round(SHARE * sum(len(state["usageStats"]) for state in states.values())))
    sessions_each = max(1, round(SHARE * sum(map(len, sessions.values()))))
    turn = 0
    due = time.monotonic()
    while True:
        home = homes[turn % len(homes)]
        now = time.time_ns() // 1_000_000
        stats = states[home]["usageStats"]
        for profile_id in chance.sample(sorted(stats), min(profiles_each, len(stats))):
            stats[profile_id]["lastUsed"] = now
            stats[profile_id]["errorCount"] = 1 + stats[profile_id].get("errorCount", 0) % 9
        for key in chance.sample(sorted(sessions[home]), min(sessions_each, len(sessions[home]))):
            sessions[home][key]["updatedAt"] = now
        _replace(home / "agent" / "auth-state.json", states[home])
        _replace(home / "sessions" / "sessions.json", sessions[home])
        for lock in chance.sample(locks, round(SHARE * len(locks))):
            lock.touch()
        turn += 1
        due += PERIOD
        time.sleep(max(0.0, due - time.monotonic()))


def _replace(path: Path, value: object) -> None:
    temporary = path.with_name(f"{path.name}.churn.tmp")
    temporary.write_text(json.dumps(value, indent=2) + "\n")
    temporary.chmod(0o600)
    temporary.rename(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
