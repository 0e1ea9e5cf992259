"""Which of the files that lie about is the gateway's log."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from clawtop.clock import SystemClock
from clawtop.core.model import Gateway, GatewayState, Problem
from clawtop.store.config import ConfigRead
from clawtop.store.gateway.log_place import STILL_WRITTEN_S, log_place, shared_logs
from clawtop.store.locks.processes import SystemProcesses
from clawtop.store.place import temporary
from clawtop.store.place.layout import Layout
from clawtop.store.place.locating import expanded
from clawtop.store.snapshot import SnapshotReader

UID = os.getuid()
LIVE = Gateway(GatewayState.LIVE, 7, 18789)
NOW = 1_795_214_000


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.setattr(temporary, "SYSTEM", tmp_path / "system")
    state = tmp_path / "home" / ".openclaw"
    config = state / "openclaw.json"
    return Layout(state, config, ConfigRead(config), lock_dirs=(tmp_path / "tmp" / f"openclaw-{UID}",))


def written(directory: Path, *names: str, age: float = 0.0) -> list[Path]:
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        (directory / name).write_text("")
        os.utime(directory / name, (NOW - age, NOW - age))
    return [directory / name for name in names]


def names(layout: Layout, configured: str | None = None, gateway: Gateway = LIVE) -> list[str]:
    return [path.name for path in log_place(layout, configured, gateway, UID).paths]


def test_yesterdays_file_is_followed_while_it_is_written(layout: Layout) -> None:
    shared = shared_logs()
    written(shared, "openclaw-2026-11-20.log", "openclaw-2026-11-21.log")
    written(shared, "openclaw-2026-11-18.log", "openclaw-notes.log")
    assert names(layout) == ["openclaw-2026-11-20.log", "openclaw-2026-11-21.log"]
    written(shared, "openclaw-2026-11-20.log", age=STILL_WRITTEN_S + 1)
    assert names(layout) == ["openclaw-2026-11-21.log"]


def test_a_shared_directory_of_another_user_is_left_for_the_users_own(layout: Layout, tmp_path: Path) -> None:
    written(layout.lock_dirs[0], "openclaw-2026-11-21.log")
    shared_logs().parent.mkdir()
    shared_logs().symlink_to(tmp_path)
    assert names(layout) == ["openclaw-2026-11-21.log"]
    shared_logs().unlink()
    assert names(layout) == []


def test_without_a_configuration_that_can_be_read_no_log_is_guessed(layout: Layout) -> None:
    shared = shared_logs()
    written(shared, "openclaw-2026-11-21.log")
    path = layout.config_path
    unread = replace(layout, config=ConfigRead(path, problems=(Problem("bad-json", str(path), "is half written"),)))
    assert names(layout)
    assert names(unread) == []
    assert "where the gateway logs is not known" in log_place(unread, None, LIVE, UID).how
    good = replace(layout, config=replace(unread.config, raw={}))
    assert names(good)


def test_a_daily_file_that_another_gateway_may_write_too_is_called_so(layout: Layout) -> None:
    shared = shared_logs()
    written(shared, "openclaw-2026-11-21.log")
    plain = f"the daily file in {shared}"
    assert log_place(layout, None, LIVE, UID).how == plain
    told = log_place(layout, None, replace(LIVE, others=(41, 42)), UID).how
    assert told.startswith(f"{plain}, which another gateway (pid 41, 42) may write too: ")
    assert told.endswith("the rest cannot be told apart")


def test_the_other_gateways_are_those_whose_locks_are_not_stale(layout: Layout) -> None:
    locks = layout.lock_dirs[0]
    locks.mkdir(parents=True)
    layout.state_dir.mkdir(parents=True)

    ours = {"pid": os.getpid(), "configPath": str(layout.config_path)}
    ticks = SystemProcesses().look(os.getpid()).start_ticks
    (locks / "gateway.00000000.lock").write_text(json.dumps({**ours, "startTime": ticks}))

    def others(pid: int, age_s: float = 0.0, config: str = "/other/openclaw.json") -> tuple[int, ...]:
        path = locks / "gateway.0badc0de.lock"
        path.write_text(json.dumps({"pid": pid, "configPath": config}))
        written_at = path.stat().st_mtime - age_s
        os.utime(path, (written_at, written_at))
        reader = SnapshotReader(
            state_dir=layout.state_dir,
            env={"TMPDIR": str(locks.parent)},
            home=layout.state_dir.parent,
            clock=SystemClock(),
            processes=SystemProcesses(),
            port_probe=None,
        )
        gateway = reader.read().gateway
        assert gateway.pid == os.getpid()
        return tuple(pid for pid in gateway.others if pid in {younger.pid, 2**22 - 7})

    with subprocess.Popen(["sleep", "600"]) as younger:
        assert others(younger.pid) == (younger.pid,)
        assert others(2**22 - 7) == (), "it is gone"
        assert others(younger.pid, age_s=3_600.0) == (), "its pid came round again"
        assert others(younger.pid, config=str(layout.config_path)) == ()
        younger.kill()


def test_a_configured_name_with_a_date_rolls(layout: Layout, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    asked = str(logs / "openclaw-2026-02-01.log")
    assert names(layout, asked) == ["openclaw-2026-02-01.log"]
    written(logs, "openclaw-2026-11-21.log")
    assert names(layout, asked) == ["openclaw-2026-11-21.log"]
    assert names(layout, str(logs / "gateway.log")) == ["gateway.log"]


def test_a_profile_has_files_of_its_own(layout: Layout) -> None:
    shared = shared_logs()
    written(shared, "openclaw-2026-11-21.log", "openclaw-night--shift-2026-11-21.log")
    named = replace(layout, state_dir=layout.state_dir.with_name(".openclaw-night-shift"))
    assert names(named) == ["openclaw-night--shift-2026-11-21.log"]
    assert names(layout) == ["openclaw-2026-11-21.log"]


def test_the_shared_log_is_read_only_beside_a_gateway_of_ours(layout: Layout) -> None:
    shared = shared_logs()
    written(shared, "openclaw-2026-11-21.log")
    place = log_place(layout, None, Gateway(), UID)
    assert (place.paths, "no gateway of this directory is visible" in place.how) == ((), True)
    copy = log_place(replace(layout, foreign_roots=("/home/op/.openclaw",)), None, LIVE, UID)
    assert (copy.paths, "copy" in copy.how) == ((), True)


def test_a_tilde_is_the_home_that_openclaw_takes() -> None:
    home = Path("/home/op")
    assert expanded("~/logs/x.log", {}, home) == "/home/op/logs/x.log"
    assert expanded("~/logs/x.log", {"OPENCLAW_HOME": "/srv/claw"}, home) == "/srv/claw/logs/x.log"
    assert expanded("/var/log/x.log", {}, home) == "/var/log/x.log"
