"""Sessions in databases (2026.9.6) beside sessions in files (2026.5.20), 2,000 of each, pair by pair; then 100,000.

CPU and not the wall where one run is a program: both sides share the machine with whatever else runs.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench.bench_screen import COLUMNS, LINES, PAUSE_S, WHOLE, changes, first_paint
from tests.bench.harness import Bench, Figure, Limit, Row, cpu_ms, interleaved
from tests.support import big_state
from tests.support.databases import SHARED_STATE, agent_database, other, run, state_database, stored
from tests.support.samples import unpacked
from tests.support.terminals import clawtop, open_terminal

SESSIONS, MANY = 2_000, 100_000
PAINT, CHANGE, STATUS, GROWN = 1.2, 1.2, 1.3, 2.0
CHANGES = {False: 30, True: 4}
"""How many rows are changed, by whether it is to be quick."""

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


def in_databases(root: Path, sessions: int = SESSIONS) -> Path:
    """A directory of 2026.9.6 with so many settled sessions, a second apart, each entry of several kilobytes."""
    sample = unpacked("2026.9.6", "rate-limited", root)
    path = agent_database(sample.state_dir)
    long = {"skillsSnapshot": "x" * 2_500, "systemPromptReport": "y" * 900}
    entry = json.dumps({"authProfileOverride": "fakeai:two", **long})
    names = [row[1] for row in run(path, "PRAGMA table_info(session_nodes)")]
    others = [name for name in names if name not in {"session_key", "entry_json"}]
    each = {"updated_at": "updated_at - i * 1000"}
    rest, values = ", ".join(others), ", ".join(each.get(name, name) for name in others)
    run(
        path,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < ?)"
        f" INSERT INTO session_nodes(session_key, entry_json, {rest})"
        f" SELECT 'agent:main:made-' || i, ?, {values} FROM n, (SELECT * FROM session_nodes LIMIT 1)",
        (sessions, entry),
    )
    run(path, "UPDATE session_nodes SET entry_valid=1")  # as once OpenClaw has checked them
    run(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    return sample.state_dir


def compared(
    what: str, command: Callable[[Path], list[str]], places: tuple[Path, Path], limit: float, rounds: int
) -> Figure:
    """The least times of both; `places`: in files, in a database."""
    files, tables = places
    in_files, in_tables = interleaved([lambda: cpu_ms(command(files)), lambda: cpu_ms(command(tables))], rounds)
    note = "CPU; peer: the same in files"
    return Figure(what, min(in_tables), "ms", limit, Limit.TIMES, peer=min(in_files), samples=rounds, note=note)


def dashboard(state_dir: Path) -> list[str]:
    return clawtop("--view", "overview", "--no-gateway", "--state-dir", str(state_dir))


ROW = rb"fakeai:|main-\d+"


def row_changes(state_dir: Path, rounds: int) -> list[float]:
    """From a profile's statistics changed in the database to a changed cell on the terminal, in ms."""
    database = state_database(state_dir)
    document = stored(database, SHARED_STATE)
    assert document is not None
    table, key_column, key, value_column, _ = SHARED_STATE
    statement = f"UPDATE {table} SET {value_column}=? WHERE {key_column}=?"
    took: list[float] = []
    with (
        other(database) as writer,
        open_terminal(dashboard(state_dir), columns=COLUMNS, lines=LINES, emulate=False) as terminal,
    ):
        terminal.wait_for_bytes(ROW, 0, 60.0)
        terminal.drain(6.0)
        for number in range(rounds + 1):
            for stats in document["usageStats"].values():
                stats["errorCount"] = 10 + number
            seen, begun = len(terminal.raw), time.monotonic()
            writer.run(statement, (json.dumps(document), key))
            took.append(1000 * (terminal.wait_for_bytes(f"×{10 + number}".encode(), seen, 60.0) - begun))
            terminal.drain(PAUSE_S)
    return took[1:]


def figures(quick: bool) -> Iterator[Row]:
    rounds = 2 if quick else 5
    with tempfile.TemporaryDirectory(prefix="clawtop-bench-") as place:
        root = Path(place)
        now = int(time.time() * 1000)
        files = big_state.make(root, agents=1, profiles=4, sessions=SESSIONS, locks=0, now=now)
        tables = in_databases(root / "tables")
        places = files.state_dir, tables
        yield compared(
            "first snapshot, sessions in a database",
            lambda at: [sys.executable, "-c", FIRST_FRAME, str(at)],
            places,
            PAINT,
            rounds,
        )
        yield compared(
            "status --json, sessions in a database",
            lambda at: [sys.executable, "-m", "clawtop", "--no-gateway", "status", "--json", "--state-dir", str(at)],
            places,
            STATUS,
            rounds,
        )
        changed = row_changes(tables, CHANGES[quick])
        yield from _painted(files, tables, changed, quick)
        yield from _grown(tables, in_databases(root / "many", 5_000 if quick else MANY), changed, quick)


def _painted(files: big_state.BigState, tables: Path, mine_ms: list[float], quick: bool) -> Iterator[Row]:
    """`mine_ms`: of `row_changes` on the tables."""
    rounds = 2 if quick else 7
    paints = interleaved(
        [lambda: first_paint(dashboard(tables), WHOLE), lambda: first_paint(dashboard(files.state_dir), WHOLE)], rounds
    )
    mine, theirs = map(statistics.median, paints)
    note = "peer: the same in files"
    yield Figure("first paint on a database", mine, "ms", PAINT, Limit.TIMES, peer=theirs, samples=rounds, note=note)
    theirs_ms = changes(dashboard(files.state_dir), files.auth_state, CHANGES[quick])
    yield _changed("row changed -> changed cell on a database", mine_ms, theirs_ms, CHANGE, "peer: the same in files")


def _grown(few: Path, many: Path, few_ms: list[float], quick: bool) -> Iterator[Row]:
    """`few_ms`: of `row_changes` on the few."""
    size, rounds = ("5,000", 2) if quick else (f"{MANY:,}", 7)
    paints = interleaved(
        [lambda: first_paint(dashboard(many), WHOLE), lambda: first_paint(dashboard(few), WHOLE)], rounds
    )
    mine, theirs = map(statistics.median, paints)
    note = f"peer: clawtop on {SESSIONS:,}"
    what = f"first paint with {size} sessions in a database"
    yield Figure(what, mine, "ms", GROWN, Limit.TIMES, peer=theirs, samples=rounds, note=note)
    what = f"row changed -> changed cell with {size}"
    yield _changed(what, row_changes(many, CHANGES[quick]), few_ms, GROWN, note)


def _changed(what: str, mine_ms: list[float], theirs_ms: list[float], limit: float, note: str) -> Row:
    mine, theirs = statistics.median(mine_ms), statistics.median(theirs_ms)
    note = f"medians; {note}"
    return Figure(what, mine, "ms", limit, Limit.TIMES, peer=theirs, samples=len(mine_ms), note=note)


BENCHES = (Bench("databases", "sessions in databases beside files; 100,000 of them", 140, 40, figures),)
