"""Every reader on what a stranger wrote or sends: nothing breaks, nothing hangs, nothing raw comes out.

python -m tests.fuzz                60 s, another seed each time
python -m tests.fuzz --minutes 60   for an hour
python -m tests.fuzz --seed N       one seed again
python -m tests.fuzz --attacks      60 s of pipes, devices, links, rings, depth and size at every place that clawtop
                                    reads or writes, under every verb (tests/fuzz/attacks.py); --all: all of them, and
                                    each thing before the dashboard; --only WORD: those that have it in their names;
                                    --seed N: the order of one run again; --number N: the first N, the same each time
python -m tests.fuzz --standpoints  60 s of locks seen from other namespaces and with clocks that were set, under the
                                    verbs that remove them (tests/fuzz/standpoints.py); --all, --seed, --number as above

A seed is a state directory (in turn one of files and one of databases), some streams of each reader, and one of them
at 20 kB and at 200 kB.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import secrets
import shutil
import sqlite3
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from random import Random

from clawtop.clock import SystemClock
from clawtop.errors import ClawtopError
from clawtop.store.config_part import config_part
from clawtop.store.incident import IncidentPart
from clawtop.store.locks.processes import SystemProcesses
from clawtop.store.own import presence
from clawtop.store.own.journal import Journal
from clawtop.store.own.mark_spool import MarkSpool
from clawtop.store.own.recording import load_recording
from clawtop.store.sessions.conversation import read_conversation
from clawtop.store.snapshot import SnapshotReader
from clawtop.view.plain import plain_lines
from clawtop.view.report import report
from tests.fuzz.attacked_screen import wrong_on_screen
from tests.fuzz.attacks import Arena, attacks
from tests.fuzz.hostile_places import NEEDS_ROOT, THINGS
from tests.fuzz.made import state_with_everything
from tests.fuzz.mutate import VALUES, mutated, replaced
from tests.fuzz.standpoints import possible, sights, wrong
from tests.fuzz.streams import CONTROL, READERS, stretched, tried
from tests.support.samples import unpacked

CELLS: tuple[str | bytes | int | float | None, ...] = (
    *(one for one in VALUES if isinstance(one, float) or (isinstance(one, int) and abs(one) < 1 << 63)),
    *(one.encode("utf-8", "surrogatepass") for one in VALUES if isinstance(one, str)),
    *(None, b"\xff\xfe", b"[1, 2]", "x"),
)
MOST_SECONDS = 10.0
MOST_MB = 600
"""No stranger's directory takes more memory than this."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--minutes", type=float, help="instead of --seconds")
    parser.add_argument("--seed", type=int, help="one seed again, or one order of attacks")
    parser.add_argument("--attacks", action="store_true", help="hostile things at every place instead")
    parser.add_argument("--standpoints", action="store_true", help="locks from other namespaces and clocks instead")
    parser.add_argument("--number", type=int, help="how many attacks or standpoints, instead of a time")
    parser.add_argument("--all", action="store_true", help="all attacks: some hours; all standpoints: minutes")
    parser.add_argument("--only", default="", metavar="WORD", help="attacks that have it in their names")
    args = parser.parse_args()
    if args.attacks:
        return _attacks(args)
    if args.standpoints:
        return _standpoints(args)
    seconds = args.seconds if args.minutes is None else args.minutes * 60
    first = args.seed if args.seed is not None else secrets.randbelow(1 << 32)
    began, kinds, bad = time.monotonic(), Counter[str](), []
    count = 0
    with tempfile.TemporaryDirectory() as folder:
        seed_dirs = (state_with_everything(Path(folder)), unpacked("2026.9.6", "running", Path(folder) / "d").state_dir)
        kept = set(presence._presences)
        while (args.seed is None and time.monotonic() - began < seconds) or count == 0:
            seed = first + count
            count += 1
            found = _one(seed_dirs[seed % 2], Path(folder) / "case", Random(seed), kinds)
            found += _streams(Random(seed), seed, kinds)
            _close_presences(kept)
            bad += [f"seed {seed}: {why}" for why in found]
            if len(bad) >= 20:
                break
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"directories: {count} {dict(kinds)} in {time.monotonic() - began:.0f} s, {peak} MB at most; wrong: {len(bad)}"
    )
    if peak > MOST_MB:
        bad.append(f"{peak} MB were taken")
    print("\n".join(bad))
    return 1 if bad else 0


def _close_presences(kept: set[tuple[int, str]]) -> None:
    """A process keeps a descriptor for each state directory it has worked in, and an hour here makes thousands."""
    for key in presence._presences.keys() - kept:
        presence._presences.pop(key)._lock.release(force=True)


def _attacks(args: argparse.Namespace) -> int:
    began, bad, count = time.monotonic(), list[str](), 0
    seconds = args.seconds if args.minutes is None else args.minutes * 60
    root = os.geteuid() == 0
    seed = args.seed if args.seed is not None else 0 if args.number is not None else secrets.randbelow(1 << 32)
    some = [attack for attack in attacks(root=root, seed=seed) if args.only in str(attack)]
    with tempfile.TemporaryDirectory() as folder:
        arena = Arena(Path(folder))
        for attack in some[: args.number]:
            if not args.all and args.number is None and time.monotonic() - began > seconds:
                break
            count += 1
            for why in arena.wrong(attack):
                print(f"wrong: {why}", flush=True)
                bad.append(why)
    if args.all:
        for thing in (thing for thing in THINGS if root or thing.__name__ not in NEEDS_ROOT):
            with tempfile.TemporaryDirectory() as folder:
                bad += wrong_on_screen(Path(folder), thing)
    left = "" if root else "; left out, for want of root: " + ", ".join(sorted(NEEDS_ROOT))
    print(f"attacks: {count} of {len(some)} (seed {seed}) in {time.monotonic() - began:.0f} s; wrong: {len(bad)}{left}")
    print("\n".join(bad))
    return 1 if bad or not count else 0


def _standpoints(args: argparse.Namespace) -> int:
    began, bad, count = time.monotonic(), list[str](), 0
    seconds = args.seconds if args.minutes is None else args.minutes * 60
    seed = args.seed if args.seed is not None else 0 if args.number is not None else secrets.randbelow(1 << 32)
    found = sights(Random(seed))
    some = [sight for sight in found if possible(sight)]
    for sight in some[: args.number]:
        if not args.all and args.number is None and time.monotonic() - began > seconds:
            break
        count += 1
        for why in wrong(sight):
            print(f"wrong: {why}", flush=True)
            bad.append(why)
    left = f"; {len(found) - len(some)} not possible here" if len(some) < len(found) else ""
    took = time.monotonic() - began
    print(f"standpoints: {count} of {len(found)} (seed {seed}) in {took:.0f} s; wrong: {len(bad)}{left}")
    return 1 if bad or not count else 0


def _one(seed_dir: Path, root: Path, random: Random, kinds: Counter[str]) -> list[str]:
    state = root / seed_dir.name
    shutil.copytree(seed_dir, state, symlinks=True)
    for path in sorted(path for path in state.rglob("*") if path.is_file()):
        if path.name.endswith(("-wal", "-shm")):
            continue  # SQLite's own
        content = path.read_bytes().replace(os.fsencode(seed_dir), os.fsencode(state))
        chance = random.random()
        if chance < 0.05:
            replaced(path, random)
            kinds["not a file"] += 1
            continue
        if path.suffix == ".sqlite":
            _cells(path, random, kinds)
            continue
        if chance < 0.35 and not path.name.endswith(("-wal", "-shm")):
            content = mutated(content, random)
            kinds["mutated"] += 1
        path.write_bytes(content)
    wrong: list[str] = []
    began = time.process_time()  # what else runs on the machine does not count
    for name, work in _readers(state).items():
        try:
            wrong += [f"{name}: {why}" for why in work()]
        except (ClawtopError, OSError):
            pass
        except BaseException as error:  # noqa: BLE001 - that is what is looked for
            last = traceback.extract_tb(error.__traceback__)[-1]
            wrong.append(f"{name}: {type(error).__name__}: {str(error)[:200]!r} at {last.filename}:{last.lineno}")
    if time.process_time() - began > MOST_SECONDS:
        wrong.append(f"took {time.process_time() - began:.1f} s of a processor")
    for path in state.rglob("*"):
        if not path.is_symlink() and path.is_file():
            path.chmod(0o600)
    shutil.rmtree(root)
    return wrong


def _cells(path: Path, random: Random, kinds: Counter[str]) -> None:
    """Some cells of a database, made wrong: documents by their values, others by their type."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.text_factory = bytes
        database.execute("PRAGMA foreign_keys=0")
        database.execute("PRAGMA ignore_check_constraints=1")
        places = [
            (table, column)
            for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall()
            for column in _columns(database, _name(table))
        ]
        for table, column in random.sample(places, min(len(places), random.randint(1, 12))):
            rows = database.execute(f"SELECT rowid, {column} FROM {_name(table)} LIMIT 20").fetchall()
            if not rows:
                continue
            row, value = random.choice(rows)
            fresh: str | bytes | int | float | None = (
                mutated(value, random) if isinstance(value, bytes) and random.random() < 0.7 else None
            )
            if fresh is None:
                fresh = random.choice(CELLS)
            what = "CAST(? AS TEXT)" if isinstance(fresh, bytes) else "?"
            with suppress(sqlite3.Error):
                database.execute(f"UPDATE {_name(table)} SET {column}={what} WHERE rowid=?", (fresh, row))
                kinds["cells"] += 1


def _name(table: bytes) -> str:
    return f'"{table.decode()}"'


def _columns(database: sqlite3.Connection, table: str) -> list[str]:
    try:
        database.execute(f"SELECT rowid FROM {table} LIMIT 1")
    except sqlite3.Error:
        return []  # without row ids
    return [f'"{row[1].decode()}"' for row in database.execute(f"PRAGMA table_info({table})").fetchall()]


def _streams(random: Random, seed: int, kinds: Counter[str]) -> list[str]:
    """Some cases of every reader, and one of them, in turn, at two sizes."""
    wrong: list[str] = []
    for name, reader in READERS.items():
        for _ in range(reader.cases):
            wrong += tried(name, random)
            kinds["streams"] += 1
    kinds["sizes"] += 1
    return wrong + stretched(list(READERS)[seed % len(READERS)], random)


def _readers(state: Path) -> dict[str, Callable[[], list[str]]]:
    clock = SystemClock()
    reader = SnapshotReader(
        state_dir=state,
        env={},
        home=state.parent,
        clock=clock,
        processes=SystemProcesses(),
        port_probe=None,
        extra_parts=(config_part, IncidentPart()),
    )

    def snapshot() -> list[str]:
        found = reader.read()
        wrong = [f"unexpected: {one.text}" for one in found.warnings if one.code == "unexpected"]
        lines = plain_lines(found, found.taken_at, 120)
        wrong += [f"a control character is shown: {line!r}" for line in lines if CONTROL.search(line)]
        text = json.dumps(report(found))
        return wrong if text.isascii() else [*wrong, "JSON is not ASCII"]

    def quiet(work: Callable[[], object]) -> Callable[[], list[str]]:
        def done() -> list[str]:
            work()
            return []

        return done

    return {
        "snapshot": snapshot,
        "again": snapshot,
        "journal": quiet(Journal(state).tail),
        "spool": quiet(lambda: list(MarkSpool(state).adopt())),
        "recording": quiet(lambda: load_recording(state / "x.clawtop")),
        "transcript": quiet(lambda: read_conversation(state / "agents/main/sessions/main.jsonl")),
    }


if __name__ == "__main__":
    sys.exit(main())
