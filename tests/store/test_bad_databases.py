"""Databases that are not what they should be: each is named, nothing raises, the rest of the directory goes on."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from clawtop.clock import SystemClock
from clawtop.core.carried import others_than
from clawtop.core.model import Problem, Snapshot
from clawtop.core.operations.target import profiles_named, profiles_of
from clawtop.errors import RefusedError
from clawtop.store.sessions import agent_table, tables
from clawtop.store.snapshot import SnapshotReader
from clawtop.store.sqlite.database import COMPANIONS, MAKING_MS, Database, SqlRow, no_readers
from clawtop.store.sqlite.schema import DatabaseRole
from tests.cli.test_argument_paths import directory, endless, fifo
from tests.support.clocks import ManualClock
from tests.support.databases import Other, agent_database, other, run, state_database
from tests.support.samples import Sample, unpacked

pytestmark = pytest.mark.slow

Break = Callable[[Path], object]


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    return unpacked("2026.9.6", "running", tmp_path)


def codes(snapshot: Snapshot) -> dict[str, set[str]]:
    """File name -> codes of the problems that name it."""
    found: dict[str, set[str]] = {}
    for problem in snapshot.warnings:
        found.setdefault(Path(problem.where.partition(":")[0]).name, set()).add(problem.code)
    return found


def bare(path: Path) -> None:
    """Only the main file."""
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def rewritten(path: Path, content: bytes) -> None:
    bare(path)
    path.write_bytes(content)


def damaged(path: Path) -> None:
    run(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    content[1024:] = b"\xa5" * (len(content) - 1024)
    rewritten(path, bytes(content))


def truncated(path: Path) -> None:
    run(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    rewritten(path, path.read_bytes()[:9_000])


def foreign(path: Path) -> None:
    rewritten(path, b"")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE moz_places(id INTEGER PRIMARY KEY)")
        connection.commit()


def piped(path: Path) -> None:
    bare(path)
    path.unlink()
    os.mkfifo(path)


def a_directory(path: Path) -> None:
    bare(path)
    path.unlink()
    path.mkdir()


BROKEN: list[tuple[str, Break, set[str]]] = [
    ("damaged", damaged, {"corrupt", "foreign-database", "not-a-database"}),
    ("truncated", truncated, {"corrupt"}),
    ("no database", lambda path: rewritten(path, b"{}" * 2_000), {"not-a-database"}),
    ("another program's", foreign, {"foreign-database"}),
    ("unreleased schema", lambda path: run(path, "PRAGMA user_version=7"), {"unreleased-schema"}),
    ("newer schema", lambda path: run(path, "PRAGMA user_version=77"), {"schema-not-known"}),
    ("no schema row", lambda path: run(path, "DELETE FROM schema_meta"), {"foreign-database"}),
    ("another role", lambda path: run(path, "UPDATE schema_meta SET role='clerk'"), {"foreign-database"}),
    ("a pipe", piped, {"not-a-file"}),
    ("a directory", a_directory, {"not-a-file"}),
]


@pytest.mark.parametrize(("what", "spoil", "wanted"), BROKEN, ids=[row[0] for row in BROKEN])
def test_an_agents_database(sample: Sample, what: str, spoil: Break, wanted: set[str]) -> None:
    path = agent_database(sample.state_dir)
    spoil(path)
    snapshot = sample.reader().read()
    assert codes(snapshot)[path.name] & wanted
    assert {session.agent for session in snapshot.sessions} >= {"ops"}
    ops = next(agent.store for agent in snapshot.agents if agent.id == "ops")
    assert ops is not None
    assert (len(ops.profiles), ops.problem) == (4, None)


@pytest.mark.parametrize(("what", "spoil", "wanted"), BROKEN, ids=[row[0] for row in BROKEN])
def test_the_state_database(sample: Sample, what: str, spoil: Break, wanted: set[str]) -> None:
    path = state_database(sample.state_dir)
    spoil(path)
    snapshot = sample.reader().read()
    assert snapshot.generation is sample.generation
    assert codes(snapshot)[path.name] & wanted
    assert {session.key for session in snapshot.sessions} == {"agent:main:main", "agent:ops:main"}


@pytest.mark.parametrize("thing", [fifo, endless, directory], ids=lambda thing: thing.__name__)
@pytest.mark.parametrize("companion", COMPANIONS)
@pytest.mark.parametrize("place", [agent_database, state_database], ids=["agent", "state"])
def test_what_is_no_file_beside_a_database_is_named_and_waited_for_by_nobody(
    sample: Sample, place: Callable[[Path], Path], companion: str, thing: Break
) -> None:
    where = Path(f"{place(sample.state_dir)}{companion}")
    where.unlink(missing_ok=True)
    thing(where)
    assert "not-a-file" in codes(sample.reader().read())[where.name]


@pytest.mark.parametrize("place", [agent_database, state_database], ids=["agent", "state"])
def test_zero_bytes_are_an_empty_store_that_is_named(sample: Sample, place: Callable[[Path], Path]) -> None:
    path = place(sample.state_dir)
    rewritten(path, b"")
    assert codes(sample.reader().read())[path.name] == {"empty"}


@pytest.mark.parametrize("content", ["", "no tables"])
def test_a_database_that_an_agent_is_about_to_get_hides_nothing_that_is_shared(sample: Sample, content: str) -> None:
    path = agent_database(sample.state_dir)
    rewritten(path, b"")
    if content:
        run(path, "PRAGMA user_version=23")
    snapshot = sample.reader().read()
    assert "empty" in codes(snapshot)[path.name]
    store = snapshot.agents[0].store
    assert store is not None
    assert (len(store.profiles), store.problem) == (4, None)


@pytest.mark.parametrize(("age_ms", "wanted"), [(300, set()), (MAKING_MS + 1, {"empty"})], ids=["new", "left so"])
@pytest.mark.parametrize("content", ["", "no tables"])
def test_a_database_that_is_being_made_is_no_finding(
    sample: Sample, content: str, age_ms: int, wanted: set[str]
) -> None:
    """2026.9.6 makes an agent's database at its first turn, in several steps."""
    path = agent_database(sample.state_dir)
    rewritten(path, b"")
    if content:
        run(path, "PRAGMA user_version=23")
    written = (sample.captured_at - age_ms) * 1_000_000
    os.utime(path, ns=(written, written))
    snapshot = sample.reader().read()
    assert codes(snapshot).get(path.name, set()) & {"empty"} == wanted
    assert {problem.code for problem in snapshot.sessions_unread} == wanted
    assert {session.agent for session in snapshot.sessions} == {"ops"}


@pytest.mark.parametrize("column", ["session_key", "current_session_id", "status"])
def test_names_that_are_no_unicode_text_hide_nothing_else(sample: Sample, column: str) -> None:
    path = agent_database(sample.state_dir)
    before = sample.reader().read()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA foreign_keys=0")
        connection.execute("PRAGMA ignore_check_constraints=1")
        connection.execute(f"UPDATE session_nodes SET {column}=CAST(x'61ff62' AS TEXT)")
        connection.commit()
    snapshot = sample.reader().read()
    assert "unexpected" not in {problem.code for problem in snapshot.warnings}
    assert [session.agent for session in snapshot.sessions] == [session.agent for session in before.sessions]


@pytest.mark.parametrize(
    ("statement", "where"),
    [
        ("ALTER TABLE session_nodes RENAME COLUMN updated_at TO moved_at", "agent"),
        ("ALTER TABLE auth_profile_state RENAME COLUMN state_json TO other", "agent"),
        ("DROP TABLE auth_profile_store", "agent"),
        ("ALTER TABLE config_machine_state RENAME COLUMN value_json TO other", "state"),
    ],
)
def test_tables_that_changed_are_named(sample: Sample, statement: str, where: str) -> None:
    path = agent_database(sample.state_dir) if where == "agent" else state_database(sample.state_dir)
    for view in ("SELECT name FROM sqlite_master WHERE type IN ('trigger', 'view')",):
        for (name,) in run(path, view):
            run(path, f"DROP TRIGGER IF EXISTS {name}")
    for (name,) in run(path, "SELECT name FROM sqlite_master WHERE type='index' AND sql IS NOT NULL"):
        run(path, f"DROP INDEX IF EXISTS {name}")
    run(path, statement)
    assert "missing-columns" in codes(sample.reader().read())[path.name]


@pytest.mark.parametrize(
    "column", ["turn_claim_run_id", "updated_at_ms"], ids=["claims without a run", "claims without a time"]
)
def test_a_missing_table_of_records_only_says_less(sample: Sample, column: str) -> None:
    path = state_database(sample.state_dir)
    for table in ("worker_session_placements", "task_runs", "audit_events", "gateway_boot_lifecycle"):
        run(path, f"ALTER TABLE {table} RENAME TO old_{table}_{column}")
    snapshot = sample.reader().read()
    assert snapshot.warnings == ()
    assert [session.key for session in snapshot.sessions] == ["agent:main:main", "agent:ops:main"]


def test_a_locked_database_is_named_and_keeps_its_last_rows(sample: Sample) -> None:
    path = agent_database(sample.state_dir)
    reader = sample.reader()
    before = reader.read()
    moved = path.with_name("moved.sqlite")
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{moved}{suffix}")
    holder = Other(moved)
    holder.run("PRAGMA locking_mode=EXCLUSIVE")
    holder.run("UPDATE session_nodes SET label='mine'")
    Path(f"{moved}-shm").touch()
    for suffix in ("-shm", "-wal", ""):
        Path(f"{moved}{suffix}").replace(f"{path}{suffix}")
    try:
        snapshot = reader.read()
        assert codes(snapshot) == {path.name: {"database-busy"}}
        assert [session.key for session in snapshot.sessions] == [session.key for session in before.sessions]
        assert [len(agent.store.profiles) for agent in snapshot.agents if agent.store] == [4, 4]
    finally:
        holder.kill()


def test_a_database_that_is_swapped_is_opened_again(sample: Sample, tmp_path: Path) -> None:
    path = state_database(sample.state_dir)
    reader = sample.reader()
    assert reader.read().warnings == ()
    other = unpacked("2026.9.6", "billing", tmp_path / "other")
    for suffix in ("-shm", "-wal", ""):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
        source = Path(f"{state_database(other.state_dir)}{suffix}")
        if source.exists():
            shutil.copy(source, f"{path}{suffix}")
    store = reader.read().agents[0].store
    assert store is not None
    assert next(p for p in store.profiles if p.id == "fakeai:one").stats.disabled_reason == "billing"


CELLS_OF_BYTES = (
    "UPDATE session_nodes SET session_key=CAST(X'6167656e743a6d61696e3aff' AS TEXT)",
    "UPDATE session_nodes SET entry_json=CAST(X'7b226c6162656c223a22ff227d' AS TEXT)",
)


def test_a_database_that_is_deleted_while_it_is_watched(sample: Sample) -> None:
    path = agent_database(sample.state_dir)
    reader = sample.reader()
    reader.read()
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    after = reader.read()
    assert [session.key for session in after.sessions] == ["agent:ops:main"]
    assert codes(after)[path.name] == {"missing"}, "sessions of main ran, so its database was there once"
    assert [(problem.code, problem.agent) for problem in after.sessions_unread] == [("missing", "main")]


def test_an_agent_that_never_ran_needs_no_database(sample: Sample) -> None:
    path = agent_database(sample.state_dir)
    run(state_database(sample.state_dir), "DELETE FROM worker_session_placements")
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    snapshot = sample.reader().read()
    assert (codes(snapshot).get(path.name), snapshot.sessions_unread) == (None, ())


@pytest.mark.parametrize("statement", CELLS_OF_BYTES, ids=["key", "entry"])
def test_bytes_that_are_not_utf8_are_named_at_their_session(sample: Sample, statement: str) -> None:
    run(agent_database(sample.state_dir), statement)
    session = next(row for row in sample.reader().read().sessions if row.agent == "main")
    assert "not-utf8" in {problem.code for problem in session.problems}


def test_a_shared_database_that_is_lost_is_named_and_its_accounts_are_kept_as_they_were(sample: Sample) -> None:
    path = state_database(sample.state_dir)
    watching = sample.reader()
    before = watching.read().agents[0].store
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    for reader in (watching, sample.reader()):
        store = reader.read().agents[0].store
        assert store is not None
        assert store.problem is not None
        assert (store.problem.code, store.problem.where) == ("missing", str(path))
        assert before is not None
        assert [p.id for p in store.profiles] == ([p.id for p in before.profiles] if reader is watching else [])


@pytest.mark.parametrize("spoil", [truncated, damaged, foreign], ids=lambda spoil: spoil.__name__)
def test_who_asks_for_an_account_of_an_unread_store_is_told_which_store(sample: Sample, spoil: Break) -> None:
    path = state_database(sample.state_dir)
    spoil(path)
    snapshot = sample.reader().read()
    for find, name in ((profiles_named, "fakeai:one"), (profiles_of, "fakeai")):
        with pytest.raises(RefusedError, match=rf"in what could be read: {re.escape(str(path))} is ") as caught:
            find(snapshot, name, None)
        assert "nothing was changed" in str(caught.value).lower()


def test_who_asks_for_an_account_that_was_never_imported_is_told_what_imports_it(tmp_path: Path) -> None:
    snapshot = unpacked("2026.9.6", "half-migrated", tmp_path).reader().read()
    with pytest.raises(RefusedError, match=r"in use here: .*was never imported") as caught:
        profiles_of(snapshot, "fakeai", None)
    assert caught.value.hint == "openclaw doctor --fix"


def test_a_log_that_is_lost_leaves_what_was_checkpointed(sample: Sample) -> None:
    """The newest state stood in the log; without it the older one is all there is."""
    for path in (agent_database(sample.state_dir), state_database(sample.state_dir)):
        bare(path)
    snapshot = sample.reader().read()
    assert snapshot.warnings == ()
    assert {session.status for session in snapshot.sessions} == {"done"}


@pytest.mark.parametrize("begun", [True, False], ids=["beside a log", "closed"])
def test_a_link_is_followed_to_the_log_beside_the_file(sample: Sample, tmp_path: Path, begun: bool) -> None:
    """An operator keeps the database elsewhere: SQLite opens the log and the shared memory there."""
    path, places = agent_database(sample.state_dir), (tmp_path / "disk", tmp_path / "larger disk")
    run(path, RENAME, ("on the disk",))
    run(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    for place in places:
        place.mkdir()
        shutil.copyfile(path, place / path.name)
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    path.symlink_to(places[0] / path.name)
    reader = sample.reader()

    def names() -> set[str | None]:
        return {session.name for session in reader.read().sessions if session.agent == "main"}

    with other(places[0] / path.name) as writer:
        if not begun:
            assert names() == {"on the disk"}
            assert places[0] in reader.watch_directories()
        writer.run(RENAME, ("first",))
        assert (places[0] / f"{path.name}-wal").stat().st_size > 0
        assert names() == {"first"}
        writer.run(RENAME, ("second",))
        assert reader.has_changed()
        assert names() == {"second"}
        path.unlink()
        path.symlink_to(places[1] / path.name)
        assert names() == {"on the disk"}
        assert [place in reader.watch_directories() for place in places] == [False, True]
    with other(places[1] / path.name) as writer:
        writer.run(RENAME, ("moved",))
        assert reader.has_changed()
        assert names() == {"moved"}
    assert [*path.parent.glob(f"{path.name}*")] == [path], "nothing appears beside the link"


RENAME = "UPDATE session_nodes SET entry_json=json_set(entry_json, '$.label', ?), updated_at=updated_at+1"


def test_a_commit_between_two_connections_changes_the_version(sample: Sample) -> None:
    path = state_database(sample.state_dir)
    with other(path) as gateway:
        database = Database(path, DatabaseRole.GLOBAL, SystemClock())
        database.identity()
        before = database.version()
        assert database.version() == before
        with no_readers(os.path.realpath(path)):
            gateway.run("UPDATE config_machine_state SET updated_at_ms = updated_at_ms + 1")
        database.identity()  # somebody else of this process reads it first
        assert database.version() != before
        database.close()


def test_a_commit_of_another_process_is_seen_at_the_next_look(sample: Sample) -> None:
    path = agent_database(sample.state_dir)
    writer = Other(path)
    try:
        writer.run("UPDATE session_nodes SET label='warm'")
        reader = sample.reader()
        reader.read()
        for number in range(5):
            writer.run("UPDATE session_nodes SET status=?, updated_at=updated_at+1", (("done", "failed")[number % 2],))
            assert {s.status for s in reader.read().sessions if s.agent == "main"} == {("done", "failed")[number % 2]}
        writer.run("DELETE FROM session_nodes WHERE session_key='agent:main:main'")
        assert [session.key for session in reader.read().sessions] == ["agent:ops:main"]
    finally:
        writer.close()


# --- hostile content ----------------------------------------------------------------------------------------------


def add_sessions(path: Path, count: int, entry: str = "{}") -> None:
    """Rows as OpenClaw has them, made by copying the first."""
    columns = [row[1] for row in run(path, "PRAGMA table_info(session_nodes)")]
    rest = ", ".join(name for name in columns if name not in {"session_key", "entry_json"})
    run(
        path,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < ?)"
        f" INSERT INTO session_nodes(session_key, entry_json, {rest})"
        f" SELECT 'agent:main:made-' || i, ?, {rest} FROM n, (SELECT * FROM session_nodes LIMIT 1)",
        (count, entry),
    )


def test_hostile_cells_cost_their_own_row(sample: Sample) -> None:
    path = agent_database(sample.state_dir)
    nasty = json.dumps({"sessionId": 7, "startedAt": "soon", "authProfileOverride": "\x1b[31mred", "model": ["x"]})
    add_sessions(path, 3, nasty)
    run(path, "UPDATE session_nodes SET entry_json='{not json' WHERE session_key='agent:main:made-2'")
    run(path, "UPDATE session_nodes SET session_key=CAST(x'61ff1b5d30' AS TEXT) WHERE session_key='agent:main:made-3'")
    run(path, "UPDATE session_nodes SET entry_valid=0 WHERE session_key='agent:main:made-1'")
    found = {session.key: session for session in sample.reader().read().sessions if session.agent == "main"}
    assert found["agent:main:made-1"].profile == "\x1b[31mred", "ids stay exact; whoever shows them makes them safe"
    assert {problem.code for problem in found["agent:main:made-1"].problems} >= {"unchecked", "absurd-value"}
    assert "bad-session" in {problem.code for problem in found["agent:main:made-2"].problems}
    assert "a\udcff\x1b]0" in found
    assert found["agent:main:main"].active


def test_a_giant_entry_is_never_taken_into_memory(sample: Sample) -> None:
    path = agent_database(sample.state_dir)
    entry = json.dumps({"authProfileOverride": "fakeai:two", "skillsSnapshot": {"prompt": "x" * 4_000_000}})
    add_sessions(path, 2, entry)
    found = {session.key: session for session in sample.reader().read().sessions}
    assert found["agent:main:made-1"].profile == "fakeai:two"


def counting(reader: SnapshotReader) -> list[int]:
    """What is still being counted, look by look."""
    found = [reader.read().counting]
    while found[-1]:
        found.append(reader.read().counting)
    return found


def test_details_of_many_sessions_come_bit_by_bit(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "DETAILS_AT_ONCE", 50)
    path = agent_database(sample.state_dir)
    add_sessions(path, 180, json.dumps({"authProfileOverride": "fakeai:two", "authProfileOverrideSource": "user"}))
    reader = sample.reader(progressive=True)
    first = reader.read()
    assert len(first.sessions) == 182
    assert next(s for s in first.sessions if s.key == "agent:main:main").active, "running ones first"
    assert [first.counting, *counting(reader)] == [132, 82, 32, 0]
    last = reader.read()
    assert sum(session.profile == "fakeai:two" for session in last.sessions) == 180
    once = sample.reader().read()
    assert (once.counting, once.sessions) == (0, last.sessions), "who looks once has all of it at once"
    run(path, "UPDATE session_nodes SET updated_at=updated_at+5, entry_json='{}' WHERE session_key='agent:main:made-9'")
    assert counting(reader) == [0]
    assert sum(session.profile == "fakeai:two" for session in reader.read().sessions) == 179


def test_a_change_is_shown_before_the_details_of_very_many_go_on(
    sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "DETAILS_AT_ONCE", 4)
    add_sessions(agent_database(sample.state_dir), 398)
    reader = sample.reader(progressive=True)
    assert [reader.read().counting for _ in range(2)] == [396, 396 - 400 // 25]
    with other(state_database(sample.state_dir)) as writer:
        writer.run("UPDATE config_machine_state SET updated_at_ms=updated_at_ms+1")
        assert reader.read().counting == 380 - 4, "fewer in the read that a change causes"
        assert reader.read().counting == 376 - 16


def test_of_very_many_sessions_the_latest_come_first_and_the_others_are_counted(
    sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "FIRST_ROWS", 100)
    monkeypatch.setattr(tables, "DETAILS_AT_ONCE", 40)
    path = agent_database(sample.state_dir)
    add_sessions(path, 300)
    run(path, "UPDATE session_nodes SET updated_at=rowid WHERE session_key LIKE '%made%'")
    run(path, "UPDATE session_nodes SET status='done' WHERE session_key LIKE '%made%'")
    newest = {
        str(row[0]) for row in run(path, "SELECT session_key FROM session_nodes ORDER BY updated_at DESC LIMIT 100")
    }
    reader = sample.reader(progressive=True)
    first = reader.read()
    assert {session.key for session in first.sessions if session.agent == "main"} == newest
    assert first.counting == 302 - 40
    assert "agent:main:main" in newest
    counts = counting(reader)
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 0
    last = reader.read()
    assert len(last.sessions) == 302
    assert {row.key: row for row in last.sessions} == {row.key: row for row in sample.reader().read().sessions}


CHANGES = (
    "UPDATE session_nodes SET updated_at=updated_at+{n}, status='failed' WHERE session_key='{key}'",
    "UPDATE session_nodes SET updated_at=updated_at-{n}, status='killed' WHERE session_key='{key}'",
    "UPDATE session_nodes SET archived_at={n} WHERE session_key='{key}'",
    "UPDATE session_nodes SET archived_at={n}, updated_at=updated_at+7 WHERE session_key='{key}'",
    "UPDATE session_nodes SET archived_at=NULL WHERE session_key='{key}'",
    "DELETE FROM session_nodes WHERE session_key='{key}'",
    "UPDATE session_nodes SET session_key='{key}-moved-{n}', updated_at=updated_at+1 WHERE session_key='{key}'",
)


@pytest.mark.parametrize("seed", range(6))
def test_rows_that_come_change_and_go_are_shown_as_who_looks_anew_sees_them(
    sample: Sample, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(tables, "FIRST_ROWS", 25)
    monkeypatch.setattr(tables, "DETAILS_AT_ONCE", 10)
    monkeypatch.setattr(agent_table, "MOST_TRANSCRIPTS", 5)
    path, chance = agent_database(sample.state_dir), random.Random(seed)
    add_sessions(path, 40, json.dumps({"authProfileOverride": "fakeai:two"}))
    run(
        path, "UPDATE session_nodes SET updated_at=updated_at-rowid*1000, status='done' WHERE session_key LIKE '%made%'"
    )
    reader = sample.reader(progressive=True)
    reader.read()
    with other(path) as writer:
        for step in range(12):
            for _ in range(chance.randrange(1, 4)):
                key = f"agent:main:made-{chance.randrange(1, 41)}"
                writer.run(chance.choice(CHANGES).format(key=key, n=chance.randrange(1, 90_000)))
            seen, anew = reader.read(), sample.reader().read()
            while seen.counting:
                seen = reader.read()
            assert {row.key: row for row in seen.sessions} == {row.key: row for row in anew.sessions}, step


def test_a_row_that_goes_while_the_sums_rest_goes_with_the_next_ones(
    sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many rows the sums rest for a while after they were taken; a look that comes later notices by itself."""
    monkeypatch.setattr(agent_table, "SUMMED_ALWAYS", 10)
    monkeypatch.setattr(agent_table, "SUMMED_A_SECOND", 4)
    path, clock = agent_database(sample.state_dir), ManualClock()
    add_sessions(path, 38, "{}")
    reader = sample.reader(clock=clock)

    def made() -> int:
        return sum(session.key.startswith("agent:main:made-") for session in reader.read().sessions)

    assert made() == 38
    with other(path) as writer:
        writer.run("DELETE FROM session_nodes WHERE session_key='agent:main:made-1'")
        assert made() == 37, "the sums are due at the first change"
        writer.run("DELETE FROM session_nodes WHERE session_key='agent:main:made-2'")
        writer.run("UPDATE session_nodes SET archived_at=1 WHERE session_key='agent:main:made-3'")
        assert (made(), reader.has_changed()) == (37, False), "they rest for 39 rows / 4 a second"
        clock.pause(10)
        assert reader.has_changed(), "without any further change"
        assert (made(), reader.has_changed()) == (35, False)


def test_one_changed_row_of_thousands_is_read_alone(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    path = agent_database(sample.state_dir)
    add_sessions(path, 6_000)
    run(path, "UPDATE session_nodes SET updated_at=updated_at-rowid WHERE session_key LIKE '%made%'")
    reader = sample.reader(progressive=True)
    while reader.read().counting:
        pass
    fetched: list[int] = []
    rows = Database.rows

    def counted(database: Database, *words: Any) -> list[SqlRow]:
        found = rows(database, *words)
        fetched.append(len(found))
        return found

    monkeypatch.setattr(Database, "rows", counted)
    before = reader.read()
    run(
        path,
        "UPDATE session_nodes SET status='failed', updated_at=(SELECT max(updated_at)+5 FROM session_nodes)"
        " WHERE session_key='agent:main:made-9'",
    )
    after = reader.read()
    assert max(fetched) < 100
    changed = others_than(before.sessions, after.sessions)
    assert [(row.key, row.status) for row in changed] == [("agent:main:made-9", "failed")]


@pytest.mark.long
def test_a_hundred_thousand_sessions(sample: Sample) -> None:
    """The first frame costs what 2,000 cost, and the whole of it little memory: CPU and pages, not the wall."""
    path = agent_database(sample.state_dir)
    add_sessions(path, 100_000)
    run(path, "UPDATE session_nodes SET status='done' WHERE session_key LIKE '%made%'")
    run(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    reader = sample.reader(progressive=True)
    before, began = _resident_mb(), time.process_time()
    first = reader.read()
    took = time.process_time() - began
    assert len(first.sessions) == tables.FIRST_ROWS + 1
    assert first.counting > 95_000
    assert first.warnings == ()
    began = time.process_time()
    assert len(reader.read().sessions) == 100_002
    whole, grown = time.process_time() - began, _resident_mb() - before
    print(f"first frame {took:.2f} s of CPU, the whole {whole:.2f} s, {grown:.0f} MB more")
    assert took < whole / 2
    assert grown < 500


def _resident_mb() -> float:
    return psutil.Process().memory_info().rss / 1e6


def test_the_problem_names_the_file(sample: Sample) -> None:
    path = state_database(sample.state_dir)
    rewritten(path, b"{}" * 2_000)
    problems = [problem for problem in sample.reader().read().warnings if problem.code == "not-a-database"]
    assert problems == [Problem("not-a-database", str(path), "is not a database")]


KILLED_WRITER = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA wal_autocheckpoint=0")
connection.execute("CREATE TABLE begun(x)")
os.kill(os.getpid(), signal.SIGKILL)
"""


def only_begun(log: Path) -> None:
    os.truncate(log, 32)


def overwritten(log: Path) -> None:
    log.write_bytes(b"\x1b[2J\x00\xff" * 100)


@pytest.mark.parametrize("spoil", [only_begun, overwritten], ids=lambda spoil: spoil.__name__)
def test_a_killed_writers_log_that_is_none_keeps_nobody_from_reading(sample: Sample, spoil: Break) -> None:
    path = agent_database(sample.state_dir)
    run(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    done = subprocess.run([sys.executable, "-c", KILLED_WRITER, path], check=False)
    assert done.returncode == -signal.SIGKILL
    assert Path(f"{path}-wal").stat().st_size > 32
    spoil(Path(f"{path}-wal"))
    assert Path(f"{path}-shm").exists()
    reader = sample.reader()
    found = reader.read()
    assert path.name not in codes(found)
    assert "agent:main:main" in {session.key for session in found.sessions}
    run(path, "UPDATE session_nodes SET status='failed' WHERE session_key='agent:main:main'")
    after = {session.key: session.status for session in reader.read().sessions}
    assert after["agent:main:main"] == "failed", "whoever may write mends the log, and is seen to"


def test_of_a_writer_that_comes_later_commits_are_seen_not_its_log(tmp_path: Path) -> None:
    """What is written to the log counts only with its commit: who took the one for the other read too early, and then
    never again. The empty log of the one who was killed makes the reader look at stamps.
    """
    path = tmp_path / "openclaw-agent.sqlite"
    killed = Other(path)
    killed.run("PRAGMA journal_mode=WAL")
    killed.run("CREATE TABLE schema_meta(meta_key TEXT, role TEXT, agent_id TEXT, app_version TEXT)")
    killed.run("INSERT INTO schema_meta VALUES('primary','agent','main','2026.9.6')")
    killed.run("CREATE TABLE said(text TEXT)")
    killed.run("PRAGMA wal_checkpoint(TRUNCATE)")
    killed.kill()
    database = Database(path, DatabaseRole.AGENT, SystemClock())
    assert database.rows("SELECT * FROM said") == []
    before = database.version()
    assert database.version() == before, "a look is no change"
    with other(path) as writer:
        writer.run("INSERT INTO said VALUES('first')")
        assert database.version() != before
        assert database.rows("SELECT * FROM said") == [("first",)]
        seen = database.version()
        writer.run("PRAGMA cache_size=1")
        writer.run("BEGIN")
        size = Path(f"{path}-wal").stat().st_size
        writer.run("INSERT INTO said SELECT hex(zeroblob(100000))")
        assert Path(f"{path}-wal").stat().st_size > size, "so much does not fit into its cache"
        assert database.version() == seen, "nothing was committed"
        writer.run("COMMIT")
        assert database.version() != seen
        assert len(database.rows("SELECT * FROM said")) == 2
    database.close()
