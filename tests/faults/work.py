"""What is done under faults, and what has to hold afterwards."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from clawtop.clock import SystemClock
from clawtop.core.cooldown.marking import Mark
from clawtop.core.cooldown.stats import cleared
from clawtop.core.model import SHARED, Event, EventKind, Generation, ModelRef, Snapshot
from clawtop.core.operations.edit import SetOrder
from clawtop.core.session.admission import Ask, Claimant
from clawtop.store.auth.backends import auth_backend
from clawtop.store.auth.json_backend import JsonPlace
from clawtop.store.auth.lock import AuthStoreLock
from clawtop.store.auth.machine import Machine
from clawtop.store.auth.port import AuthPlace
from clawtop.store.own import holder_record
from clawtop.store.own.holder_record import record_key
from clawtop.store.own.holders import HolderRecords
from clawtop.store.own.journal import Journal
from clawtop.store.own.mark_spool import MarkSpool
from clawtop.store.own.presence import Presence, holders_dir
from clawtop.store.own.recording import Recorder, load_recording
from clawtop.store.place.locating import locate
from clawtop.store.sessions.entry import add_entry, entry_for
from clawtop.store.sessions.transcript_write import append, header
from clawtop.store.sqlite.pool import Databases
from tests.support.auth_changes import profile_change
from tests.support.samples import unpacked
from tests.support.store_update import update
from tests.support.stores import make_state_dir

TRANSCRIPT = "agents/main/sessions/s.jsonl"
OLD_LINE = b'{"type":"session","version":3,"id":"s","timestamp":"2026-11-20T00:00:00.000Z","cwd":"/w"}\n'


@dataclass(frozen=True, slots=True)
class Work:
    """One operation.

    Attributes:
        do: what is done to a state directory.
        wrong: what is not as it should be afterwards; `done` says whether `do` returned.
        generation: of the state directory.
        again: what a clawtop that comes later does, which has to succeed.
        database: the directory keeps its auth stores in databases; SQLite's own calls are counted too.
    """

    do: Callable[[Path], object]
    wrong: Callable[[Path, Path, bool], Iterator[str]]
    generation: str = "B"
    again: Callable[[Path], object] | None = None
    database: bool = False


def make(root: Path, work: Work) -> Path:
    """A state directory for it."""
    if work.database:
        state_dir = unpacked("2026.9.6", "rate-limited", root).state_dir
        for path in state_dir.rglob("*.sqlite"):  # what its gateway had not moved into the file yet
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return state_dir
    state = make_state_dir(root, work.generation)
    (state / TRANSCRIPT).write_bytes(OLD_LINE)
    (state / "agents/main/sessions/sessions.json").write_text('{"agent:main:main": {"sessionId": "s", "n": 1.50}}')
    Journal(state).append(Event(1, EventKind.NOTICE, "faults", "before"))
    return state


def _place(state: Path) -> JsonPlace:
    generation = Generation.A if "2026.3" in (state / "openclaw.json").read_text() else Generation.B
    return JsonPlace("main", str(state / "agents/main/agent"), generation)


def clear(state: Path) -> None:
    update(_place(state), profile_change("fakeai:one", cleared), Machine(), wait=5.0)


def set_order(state: Path) -> None:
    update(_place(state), SetOrder("fakeai", ("fakeai:two", "fakeai:one")), Machine(), wait=5.0)


def order_wrong(before: Path, state: Path, done: bool) -> Iterator[str]:
    places = [root / "agents/main/agent" for root in (before, state)]
    was, now = (json.loads((place / "auth-state.json").read_bytes()) for place in places)
    changed = now != was
    if changed:
        was["order"] = {**was.get("order", {}), "fakeai": ["fakeai:two", "fakeai:one"]}
        if now != was:
            yield "the state lost something"
    if places[0].joinpath("auth-profiles.json").read_bytes() != places[1].joinpath("auth-profiles.json").read_bytes():
        yield "the credentials were touched"
    if done != changed:
        yield "said done, and nothing changed" if done else "said failed, and it was changed"


# --- databases ---------------------------------------------------------------------------------------------------


def _row_place(state: Path, owner: str) -> AuthPlace:
    layout = locate(state, env={}, home=state.parent)
    found = auth_backend(layout, Databases(SystemClock())).place(owner)
    assert found is not None
    return found


def clear_row(state: Path) -> None:
    update(_row_place(state, SHARED), profile_change("fakeai:one", cleared), Machine(), wait=5.0)


def set_order_row(state: Path) -> None:
    update(_row_place(state, "main"), SetOrder("fakeai", ("fakeai:two", "fakeai:one")), Machine(), wait=5.0)


def rows_wrong(before: Path, state: Path, done: bool) -> Iterator[str]:
    """At most one cell of one database differs, the database is whole, and the outcome is told as it is."""
    changed: list[str] = []
    for path in sorted(before.rglob("*.sqlite")):
        old, new = _cells(path), _cells(state / path.relative_to(before))
        if new is None or old is None:
            yield f"{path.name} is not whole"
            continue
        changed += [key for key in old.keys() | new.keys() if old.get(key) != new.get(key)]
        if made := {"auth_profile_store b'primary'"} & (new.keys() - old.keys()):
            changed = [key for key in changed if key not in made]  # the empty document that OpenClaw wants beside it
    if len(changed) > 1:
        yield f"more than one row was changed: {changed}"
    if done != bool(changed):
        yield "said done, and nothing changed" if done else "said failed, and it was changed"


def _cells(path: Path) -> dict[str, object] | None:
    """Every row of a database and of its log, read from a copy; None where it is damaged."""
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("", "-wal"):
            with suppress(FileNotFoundError):
                shutil.copy(f"{path}{suffix}", f"{folder}/copy{suffix}")
        with closing(sqlite3.connect(f"{folder}/copy")) as connection:
            connection.create_function("octet_length", 1, lambda value: len(value or ""), deterministic=True)
            connection.text_factory = bytes
            if connection.execute("PRAGMA integrity_check").fetchall() != [(b"ok",)]:
                return None
            found: dict[str, object] = {}
            for table in ("auth_profile_store", "auth_profile_state", "config_machine_state", "session_nodes"):
                with suppress(sqlite3.OperationalError):
                    for row in connection.execute(f"SELECT * FROM {table}"):
                        found[f"{table} {row[0]!r}"] = row
            return found


def store_wrong(before: Path, state: Path, done: bool) -> Iterator[str]:
    names = ("auth-profiles.json", "auth-state.json")
    place = Path("agents/main/agent")
    pairs = [(before / place / name, state / place / name) for name in names if (before / place / name).exists()]
    changed = False
    for old, new in pairs:
        try:
            content = json.loads(new.read_bytes())
        except (OSError, ValueError) as error:
            yield f"{new.name} does not parse: {error}"
            continue
        was = json.loads(old.read_bytes())
        if content != was:
            changed = True
            was["usageStats"]["fakeai:one"] = content["usageStats"]["fakeai:one"]
            if content != was:
                yield f"{new.name} lost something"
        if new.stat().st_mode & 0o777 != old.stat().st_mode & 0o777:
            yield f"{new.name} has another mode"
    if done != changed:
        yield "said done, and nothing changed" if done else "said failed, and it was changed"


def write_turn(state: Path) -> None:
    append(state / TRANSCRIPT, [header("s", "/w", 5), header("t", "/w", 6)])


def transcript_wrong(before: Path, state: Path, done: bool) -> Iterator[str]:
    old, new = (before / TRANSCRIPT).read_bytes(), (state / TRANSCRIPT).read_bytes()
    if not new.startswith(old):
        yield "what stood in the transcript is gone"
    if done and new.count(b"\n") != 3:
        yield "said done, and the turn is not there"


def write_event(state: Path) -> None:
    Journal(state).append(Event(2, EventKind.NOTICE, "faults", "now"))


def journal_wrong(before: Path, state: Path, done: bool) -> Iterator[str]:
    told = [event.text for event in Journal(state).tail()]
    if told[:1] != ["before"]:
        yield "what stood in the journal is gone"
    if done and told[-1:] != ["now"]:
        yield "said done, and the event is not there"


def hold(state: Path) -> None:
    records = HolderRecords(Presence.of(holders_dir(state)))
    who = Claimant(
        token="t", member=records.presence.member, pid=os.getpid(), lane="main", run_id="r", since=1, deadline=None
    )
    if not records.apply(str(state / TRANSCRIPT), Ask(who), 1):
        raise OSError("somebody else is at the record")


def holder_wrong(_before: Path, state: Path, done: bool) -> Iterator[str]:
    path = holders_dir(state) / f"{record_key(str(state / TRANSCRIPT))}.json"
    if path.exists():
        try:
            holder_record.load(path)
        except (OSError, ValueError) as error:
            yield f"the record cannot be read: {error}"
    elif done:
        yield "said done, and there is no record"


def spool(state: Path) -> None:
    MarkSpool(state).put(Mark("main", "fakeai:one", "fakeai", 7, "rate_limit"))


def spool_wrong(_before: Path, state: Path, done: bool) -> Iterator[str]:
    marks = list((state / "clawtop/marks").glob("*.json")) if (state / "clawtop/marks").exists() else []
    if done and len(marks) != 1:
        yield "said done, and no mark is there"


def entry(state: Path) -> None:
    store = state / "agents/main/sessions/sessions.json"
    add_entry(store, "ours", entry_for("s", store, ModelRef("p", "m"), 1, 2), state)


def entry_wrong(_before: Path, state: Path, done: bool) -> Iterator[str]:
    text = (state / "agents/main/sessions/sessions.json").read_text()
    listed = json.loads(text)
    if "agent:main:main" not in listed or "1.50" not in text:
        yield "the session list lost something"
    if done and "ours" not in listed:
        yield "said done, and the entry is not there"


def record(state: Path) -> None:
    recorder = Recorder(state / "x.clawtop", started_at=1, clawtop_version="0")
    recorder.add(Snapshot(1, 5, "host", str(state), None, None))
    recorder.close()


def record_wrong(_before: Path, state: Path, done: bool) -> Iterator[str]:
    if done and len(load_recording(state / "x.clawtop").frames) != 1:
        yield "said done, and the recording is not whole"


WORKS = {
    "store A": Work(clear, store_wrong, "A", clear),
    "store B": Work(clear, store_wrong, "B", clear),
    "order": Work(set_order, order_wrong, "B", set_order),
    "shared row": Work(clear_row, rows_wrong, "D", clear_row, database=True),
    "order row": Work(set_order_row, rows_wrong, "D", set_order_row, database=True),
    "transcript": Work(write_turn, transcript_wrong, again=write_turn),
    "journal": Work(write_event, journal_wrong, again=write_event),
    "holder record": Work(hold, holder_wrong),
    "mark": Work(spool, spool_wrong, again=spool),
    "session entry": Work(entry, entry_wrong, again=entry),
    "recording": Work(record, record_wrong),
}


def lock_wrong(state: Path, pid: int, *, stopped: bool) -> Iterator[str]:
    """While its owner is frozen a lock is held and names him; once he is dead it can be judged so."""
    if not (state / "agents/main/agent/auth-profiles.json").exists():
        return  # a database has no lock that outlives its owner
    place = _place(state)
    lock = AuthStoreLock(place.directory, place.generation, Machine())
    holder = lock.look()
    if holder is None:
        return
    if holder.lock.payload is None:
        yield "a lock that nobody can judge"
    elif stopped and (holder.verdict.kind.value != "held" or f"pid {pid}" not in holder.text):
        yield f"the lock of a frozen process is {holder.verdict.kind.value}: {holder.text}"
    elif not stopped and holder.verdict.kind.value != "stale":
        yield f"the lock of a dead process is {holder.verdict.kind.value}"
