"""Who works beside the gateway: found by what each process was started with, left out only with proof."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from clawtop.core.model import ProcessEvidence
from clawtop.core.session.disk_witness import CENSUS_EVERY_MS, NOT_LOOKED
from clawtop.store.locks.command_line import CommandLineWatch
from tests.support.clocks import ManualClock
from tests.support.processes import FixedProcesses, alive
from tests.support.states_made import StateDir

OWNER = 1_000
AGENT = ("openclaw-agent",)


class Machine(FixedProcesses):
    """A table that can be searched: processes with their environments."""

    def __init__(self, *running: tuple[ProcessEvidence, Mapping[str, str]]) -> None:
        super().__init__({process.pid: process for process, _ in running})
        self.running = list(running)
        self.searches = 0

    def boot_at(self) -> int | None:
        return None

    def contained(self) -> Mapping[int, Sequence[int]]:
        return {}

    def openclaws(self) -> tuple[ProcessEvidence, ...]:
        self.searches += 1
        return tuple(process for process, _ in self.running)

    def environment(self, pid: int) -> Mapping[str, str]:
        return next(env for process, env in self.running if process.pid == pid)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home directory with two state directories, as process 7 sees it too."""
    for name in (".openclaw", ".openclaw-work"):
        (tmp_path / "home" / name).mkdir(parents=True)
    (tmp_path / "srv").mkdir()
    (tmp_path / "proc" / "7").mkdir(parents=True)
    (tmp_path / "proc" / "7" / "root").symlink_to("/")
    return tmp_path / "home"


def seen(home: Path, process: ProcessEvidence, env: Mapping[str, str], name: str = ".openclaw") -> bool:
    watch = CommandLineWatch(Machine((process, env)), ManualClock(), proc=home.parent / "proc")
    return watch.look(home / name, OWNER, euid=OWNER).seen == (process,)


ROWS = [
    ("by its home", AGENT, OWNER, {"HOME": "{home}"}, True),
    ("root's, by its home", AGENT, 0, {"HOME": "{home}"}, True),
    ("a home without state directories", AGENT, OWNER, {"HOME": "{home}/../srv"}, False),
    ("by the directory it names", AGENT, OWNER, {"HOME": "/", "OPENCLAW_STATE_DIR": "{home}/.openclaw"}, True),
    ("names another", AGENT, OWNER, {"HOME": "{home}", "OPENCLAW_STATE_DIR": "{home}/../srv"}, False),
    ("names a profile's", AGENT, OWNER, {"HOME": "{home}", "OPENCLAW_STATE_DIR": "{home}/.openclaw-work"}, True),
    ("names one that it makes later", AGENT, OWNER, {"HOME": "{home}", "OPENCLAW_STATE_DIR": "{home}/new"}, True),
    ("a relative one", AGENT, OWNER, {"HOME": "{home}/../srv", "OPENCLAW_STATE_DIR": "new"}, True),
    ("OPENCLAW_HOME wins", AGENT, OWNER, {"HOME": "{home}", "OPENCLAW_HOME": "{home}/../srv"}, False),
    ("its environment may not be seen", AGENT, OWNER, {}, True),
    ("another user's", AGENT, 4_321, {}, False),
    ("a gateway, by its title", ("openclaw-gateway",), OWNER, {"HOME": "{home}"}, False),
    ("a gateway, starting", ("node", "/x/openclaw.mjs", "gateway", "run"), OWNER, {"HOME": "{home}"}, False),
    ("a clawtop, whose title took its environment's place", ("clawtop/openclaw",), OWNER, {}, False),
    ("a message about it", ("node", "/x/openclaw.mjs", "agent", "-m", "gateway"), OWNER, {"HOME": "{home}"}, True),
]


@pytest.mark.parametrize("case", ROWS, ids=[row[0] for row in ROWS])
def test_who_may_work_here(home: Path, case: tuple[Any, ...]) -> None:
    _name, argv, uid, env, expected = case
    env = {key: value.format(home=home) for key, value in env.items()}
    assert seen(home, alive(7, argv=argv, uid=uid), env) is expected


def test_a_profile_leaves_no_trace_so_any_directory_of_the_home_may_be_meant(home: Path) -> None:
    assert seen(home, alive(7, argv=AGENT, uid=OWNER), {"HOME": str(home)}, ".openclaw-work")


def test_who_may_write_into_an_open_directory_counts(home: Path) -> None:
    (home / ".openclaw").chmod(0o777)
    assert seen(home, alive(7, argv=AGENT, uid=4_321), {"HOME": str(home)})


def test_another_user_may_not_see_all_of_them(home: Path) -> None:
    machine = Machine()
    assert CommandLineWatch(machine, ManualClock()).look(home / ".openclaw", OWNER, euid=4_321) == NOT_LOOKED
    assert CommandLineWatch(FixedProcesses(), ManualClock()).look(home, OWNER, euid=OWNER) == NOT_LOOKED
    assert machine.searches == 0


def test_the_table_is_searched_at_most_once_in_two_seconds(home: Path) -> None:
    machine, clock = Machine(), ManualClock()
    watch = CommandLineWatch(machine, clock)
    first = watch.look(home / ".openclaw", OWNER, euid=OWNER)
    clock.pause(CENSUS_EVERY_MS / 1000 - 0.5)
    assert watch.look(home / ".openclaw", OWNER, euid=OWNER) == first
    assert first.may_run(first.searched_at) is False
    assert first.may_run((first.searched_at or 0) + 1) is None, "it began after the search"
    clock.pause(0.5)
    assert watch.look(home / ".openclaw", OWNER, euid=OWNER) != first
    assert machine.searches == 2


# --- in a snapshot -----------------------------------------------------------------------------------------------


def refuses(_port: int) -> bool:
    return False


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    """A session stored as done, whose trajectory tells of a run without an end; no gateway runs."""
    made = StateDir(tmp_path)
    entry = {"sessionId": "s", "updatedAt": made.clock.now_ms() - 90_000, "status": "done", "endedAt": 9}
    made.sessions({"agent:main:main": entry})
    (made.sessions_dir / "s.jsonl").write_text("")
    event = {"type": "session.started", "ts": "2026-11-20T22:34:00.000Z", "runId": "r", "sessionId": "s"}
    (made.sessions_dir / "s.trajectory.jsonl").write_text(json.dumps(event) + "\n")
    return made


def test_a_killed_run_of_the_command_line_ends_with_its_process(state: StateDir) -> None:
    started = state.clock.now_ms() - 80_000
    process = alive(4_242, argv=AGENT, uid=os.getuid(), started_at=started)
    machine = Machine((process, {"HOME": str(state.home)}))
    reader = state.reader(machine, port_probe=refuses)
    before = reader.read()
    assert (before.sessions[0].active, before.command_line) == (True, (process,))
    machine.running.clear()
    state.clock.pause(CENSUS_EVERY_MS / 1000)
    after = reader.read()
    assert (after.sessions[0].active, after.command_line) == (False, ())


def test_nobody_looks_where_nothing_seems_to_run(state: StateDir) -> None:
    (state.sessions_dir / "s.trajectory.jsonl").unlink()
    assert state.read(Machine(), port_probe=refuses).command_line is None


def test_another_time_asks_no_process(state: StateDir) -> None:
    machine = Machine()
    snapshot = state.read(machine, at=state.clock.now_ms())
    assert (snapshot.command_line, snapshot.sessions[0].active, machine.searches) == (None, None, 0)
