"""Beside the real OpenClaw of each database generation: both say the same, writers lose nothing, a gateway goes on.

Some minutes a version: its own `doctor --fix` imports the store that each begins with.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from clawtop.core.generations import generation_of, storage_of
from clawtop.core.model import SHARED
from tests.interop.fake_provider import FakeProvider
from tests.interop.openclaw_install import installed_or_skip
from tests.interop.test_gateway import ROOT, Lab, free_port, unusable_by_clawtop, unusable_by_openclaw
from tests.support.databases import OWN_STATE, SHARED_STATE, Cell, agent_database, state_database

pytestmark = [pytest.mark.interop, pytest.mark.timeout(1_200)]

VERSIONS = ("2026.6.11", "2026.8.2", "2026.9.6")
NODE_WRITERS = PYTHON_WRITERS = 4
WRITES, ALL_WRITES = 40, 400
CLEARS, ALL_CLEARS = 100, 1_000
LONGEST_HELD_MS = 50
COOLING = ("fakeai:one", "backupai:default")
COMPLAINS = re.compile(
    r"(?i)(sqlite|database|integrity|sidecar|-wal\b).*(error|corrupt|mismatch|malformed|fail|invalid)"
)


class DatabaseLab(Lab):
    """A home whose store was imported into OpenClaw's databases by its own doctor."""

    @property
    def shares(self) -> bool:
        return not storage_of(generation_of(self.openclaw.version)).session_files

    @property
    def database(self) -> Path:
        return state_database(self.directory) if self.shares else agent_database(self.directory)

    @property
    def cell(self) -> Cell:
        return SHARED_STATE if self.shares else OWN_STATE

    @property
    def owner(self) -> str:
        return SHARED if self.shares else "main"

    def import_store(self) -> None:
        command = self.openclaw.command("doctor", "--fix", "--non-interactive", "--yes")
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"

    def run(self) -> None:
        """Have the gateway running."""
        if self.process is None or self.process.poll() is not None:
            self.start()

    def python(self, module: str, *words: object) -> list[str]:
        """One of our programs beside it."""
        return [sys.executable, "-m", f"tests.interop.{module}", str(self.directory), *map(str, words)]

    def doctor(self) -> str:
        """What OpenClaw's own doctor says, which changes nothing."""
        command = self.openclaw.command("doctor", "--non-interactive")
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def is_content(self) -> None:
        """The gateway lives, has answered, complains of no database, and still has the files that stand there open.

        2026.8 and 2026.9 compare these every half hour, and kill themselves where they differ.
        """
        assert self.log_errors() == []
        assert self.process is not None
        assert self.process.poll() is None
        assert any(self.health)
        if not Path("/proc/self/fd").exists():
            return
        for suffix in ("", "-wal", "-shm"):
            path = f"{self.database}{suffix}"
            assert Path(path).stat().st_ino in self._open_as(path), f"{path} is not what the gateway has open"

    def _open_as(self, path: str) -> set[int]:
        assert self.process is not None
        pids = [self.process.pid, *(child.pid for child in psutil.Process(self.process.pid).children(recursive=True))]
        found: set[int] = set()
        for entry in (entry for pid in pids for entry in Path(f"/proc/{pid}/fd").iterdir()):
            with suppress(OSError):
                if str(entry.readlink()).removesuffix(" (deleted)") == path:
                    found.add(entry.stat().st_ino)
        return found

    def error_count(self, profile: str) -> int:
        found = next(p for p in self.clawtop("status")["agents"][0]["profiles"] if p["id"] == profile)
        return int(found["error_count"] or 0)

    def log_errors(self) -> list[str]:
        """Lines of the gateway's output in which a database is complained of."""
        words = ("sqlite", "database", "sidecar", "SQLITE_")
        lines = (self.home / "gateway.log").read_text(errors="replace").splitlines()
        return [
            line
            for line in lines
            if any(word in line for word in words) and ("rror" in line or "mismatch" in line or "locked" in line)
        ]


@pytest.fixture(scope="module", params=VERSIONS)
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DatabaseLab]:
    openclaw = installed_or_skip(request.param)
    with FakeProvider() as provider:
        made = DatabaseLab(openclaw, tmp_path_factory.mktemp("lab"), provider, free_port())
        try:
            made.prepare(COOLING)
            made.import_store()
            yield made
        finally:
            made.stop()


def test_both_say_the_same_before_and_after_a_clear_and_its_undo(lab: DatabaseLab) -> None:
    assert unusable_by_clawtop(lab) == unusable_by_openclaw(lab)
    assert set(unusable_by_clawtop(lab)) == set(COOLING)
    lab.clawtop("clear", "fakeai:one", "--yes")
    assert unusable_by_clawtop(lab) == unusable_by_openclaw(lab)
    assert set(unusable_by_clawtop(lab)) == {"backupai:default"}
    lab.clawtop("undo", "--yes")
    assert unusable_by_clawtop(lab) == unusable_by_openclaw(lab)
    assert set(unusable_by_clawtop(lab)) == set(COOLING)


@pytest.mark.parametrize("writes", [WRITES, pytest.param(ALL_WRITES, id="all")])
def test_node_and_python_writers_lose_nothing_beside_a_gateway_that_works(lab: DatabaseLab, writes: int) -> None:
    lab.run()
    assert lab.turn(f"before-{writes}")  # a gateway of 2026.6 opens an agent's database with its first turn
    before = {id_: lab.error_count(id_) for id_ in ("fakeai:two", "fakeai:three")}
    node = lab.openclaw.script("database-writer.mjs", str(lab.database), *lab.cell, "fakeai:two", str(writes))
    writers = [_begun(node) for _ in range(NODE_WRITERS)]
    writers += [_begun(lab.python("database_writer", lab.owner, "fakeai:three", writes)) for _ in range(PYTHON_WRITERS)]
    for writer in writers:
        out, err = writer.communicate(timeout=500)
        assert (writer.returncode, out.strip().splitlines()[-1:]) == (0, ["done"]), err
    assert lab.error_count("fakeai:two") - before["fakeai:two"] == NODE_WRITERS * writes
    assert lab.error_count("fakeai:three") - before["fakeai:three"] == PYTHON_WRITERS * writes
    lab.is_content()


@pytest.mark.parametrize("clears", [CLEARS, pytest.param(ALL_CLEARS, id="all")])
def test_a_gateway_works_on_beside_clears_and_nothing_of_its_own_complains(lab: DatabaseLab, clears: int) -> None:
    lab.run()
    lab.clawtop("clear", "--provider", "fakeai", "--yes", "--verify", "0")
    clearing = _begun(lab.python("clearer", "backupai:default", clears))
    turns = 0
    while clearing.poll() is None:
        assert lab.turn(f"t{turns}-{clears}")
        turns += 1
    out, err = clearing.communicate()
    assert clearing.returncode == 0, err
    told = json.loads(out)
    assert (told["clears"], turns > 0) == (clears, True)
    assert told["held_ms"][-1] <= LONGEST_HELD_MS or told["held_ms"][clears * 99 // 100] <= LONGEST_HELD_MS, told
    assert "backupai:default" not in unusable_by_openclaw(lab)
    lab.is_content()
    complaints = [line for line in lab.doctor().splitlines() if COMPLAINS.search(line)]
    assert complaints == []


def test_what_the_gateway_wrote_is_what_clawtop_shows(lab: DatabaseLab) -> None:
    lab.run()
    assert lab.process is not None
    status = lab.clawtop("status")
    sessions = [session for session in status["sessions"] if session["status"] is not None]
    assert {session["status"] for session in sessions} <= {"done", "running"}
    assert status["gateway"]["state"] == "live"
    assert status["gateway"]["pid"] == lab.process.pid
    lab.stop()
    assert unusable_by_clawtop(lab) == unusable_by_openclaw(lab)


def test_a_stored_order_is_read_by_openclaw_as_it_was_meant(lab: DatabaseLab) -> None:
    """The agent's database is there from its first turn on (2026.9.6). OpenClaw's command reads the database itself,
    beside a gateway as without one.
    """
    lab.run()
    get = ("models", "auth", "order", "get", "--provider", "fakeai", "--agent", "main", "--json")
    lab.clawtop("rotate", "fakeai", "--agent", "main", "--yes", "--verify", "0")
    assert json.loads(lab.openclaw.run(get, lab.env))["order"] == ["fakeai:two", "fakeai:three", "fakeai:one"]
    lab.clawtop("rotate", "fakeai", "--agent", "main", "--reset", "--yes", "--verify", "0")
    assert json.loads(lab.openclaw.run(get, lab.env))["order"] is None


def _begun(command: list[str]) -> subprocess.Popen[str]:
    options: dict[str, Any] = {"cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **options)
