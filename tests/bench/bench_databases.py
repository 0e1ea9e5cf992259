"""Sessions in databases (2026.9.6) beside sessions in files (2026.5.20), 2,000 of each: CPU, pair by pair, the least.

    python -m tests.bench.bench_databases

Prints one line for each figure with its limit; exits 1 when one is missed. CPU and not the wall: both sides share the
machine with whatever else runs.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.support import big_state
from tests.support.databases import agent_database, run
from tests.support.samples import unpacked

SESSIONS = 2_000
ROUNDS = 7
FIRST_FRAME_LIMIT, STATUS_LIMIT = 1.2, 1.3

FIRST_FRAME = """
import sys
from pathlib import Path
from clawtop.clock import SystemClock
from clawtop.store.locks.processes import SystemProcesses
from clawtop.store.snapshot import SnapshotReader
place = Path(sys.argv[1])
reader = SnapshotReader(
    state_dir=place, env={}, home=place.parent, clock=SystemClock(), processes=SystemProcesses(), port_probe=None,
    progressive=True,
)
assert len(reader.read().sessions) >= 2_000
"""


def in_databases(root: Path) -> Path:
    """A directory of 2026.9.6 with so many settled sessions, each entry of several kilobytes."""
    sample = unpacked("2026.9.6", "rate-limited", root)
    path = agent_database(sample.state_dir)
    long = {"skillsSnapshot": "x" * 2_500, "systemPromptReport": "y" * 900}
    entry = json.dumps({"authProfileOverride": "fakeai:two", **long})
    names = [row[1] for row in run(path, "PRAGMA table_info(session_nodes)")]
    rest = ", ".join(name for name in names if name not in {"session_key", "entry_json"})
    run(
        path,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < ?)"
        f" INSERT INTO session_nodes(session_key, entry_json, {rest})"
        f" SELECT 'agent:main:made-' || i, ?, {rest} FROM n, (SELECT * FROM session_nodes LIMIT 1)",
        (SESSIONS, entry),
    )
    run(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    return sample.state_dir


def cpu_seconds(command: list[str]) -> float:
    """User and system time of one run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compared(name: str, command: Callable[[Path], list[str]], files: Path, tables: Path, limit: float) -> bool:
    """Print the ratio of the least times; whether it keeps its limit."""
    pairs = [(cpu_seconds(command(files)), cpu_seconds(command(tables))) for _ in range(ROUNDS)]
    least_files, least_tables = min(pair[0] for pair in pairs), min(pair[1] for pair in pairs)
    ratio = least_tables / least_files
    verdict = "ok" if ratio <= limit else "MISSED"
    print(f"{name:<28} {1000 * least_tables:6.0f} ms, files {1000 * least_files:6.0f} ms: {ratio:.2f} x", end="")
    print(f"  limit {limit:g}  {verdict}", flush=True)
    return ratio <= limit


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="clawtop-bench-") as place:
        root = Path(place)
        files = big_state.make(root, agents=1, profiles=4, sessions=SESSIONS, locks=0).state_dir
        tables = in_databases(root / "tables")
        frame = compared(
            "first snapshot", lambda at: [sys.executable, "-c", FIRST_FRAME, str(at)], files, tables, FIRST_FRAME_LIMIT
        )
        status = compared(
            "status --json",
            lambda at: [sys.executable, "-m", "clawtop", "--no-gateway", "status", "--json", "--state-dir", str(at)],
            files,
            tables,
            STATUS_LIMIT,
        )
    return 0 if frame and status else 1


if __name__ == "__main__":
    sys.exit(main())
