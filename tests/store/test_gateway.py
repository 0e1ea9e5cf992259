"""What is known of the gateway, and from what; where pids prove nothing."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clawtop.core.locks.staleness import may_be_being_written
from clawtop.core.model import GatewayState, ProcessEvidence, Serving, VerdictKind
from clawtop.store.gateway.liveness import ThrottledProbe, ask_healthz
from clawtop.store.locks.life import LIFE_SECONDS, LifeWatch
from clawtop.store.locks.openclaw import timestamp
from clawtop.store.place import temporary
from clawtop.store.place.mounts import filesystem, mount_obstacles
from tests.support.clocks import ManualClock
from tests.support.processes import FixedProcesses, alive
from tests.support.states_made import StateDir

PID = 4_711
TICKS = 900
WRITTEN = "2026-11-20T22:35:00.000Z"


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    return StateDir(tmp_path)


def gateway_lock(state: StateDir, **more: Any) -> Path:
    """The lock of a gateway that serves the directory, where OpenClaw 2026.5.20 puts it."""
    digest = hashlib.sha256(str(state.openclaw_json).encode()).hexdigest()[:8]
    path = state.home / "tmp" / f"openclaw-{os.getuid()}" / f"gateway.{digest}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    payload = {"pid": PID, "createdAt": WRITTEN, "configPath": str(state.openclaw_json), "startTime": TICKS} | more
    path.write_text(json.dumps(payload))
    return path


def session_lock(state: StateDir, pid: int = 77) -> Path:
    path = state.sessions_dir / "s.jsonl.lock"
    path.write_text(json.dumps({"pid": pid, "createdAt": WRITTEN, "starttime": 5}))
    return path


def test_no_test_looks_into_the_temporary_directory_of_this_machine(state: StateDir) -> None:
    """A gateway that really runs here must not change what a test sees; one in the tests' own `/tmp` does."""
    reader = state.reader(FixedProcesses({PID: alive(TICKS)}), env={})
    assert reader.read().gateway.pid is None
    assert {place.parent for place in reader.layout.lock_dirs} == {temporary.SYSTEM, state.path / "tmp"}
    lock = gateway_lock(state)
    own = temporary.SYSTEM / lock.parent.name / lock.name
    own.parent.mkdir(exist_ok=True)
    lock.rename(own)
    assert reader.read().gateway.pid == PID
    own.unlink()


def answers(_port: int) -> bool:
    return True


def refuses(_port: int) -> bool:
    return False


ROWS = [
    ("no lock, port not tried", False, None, None, GatewayState.UNKNOWN, None),
    ("no lock, port refused", False, None, refuses, GatewayState.ABSENT, None),
    ("no lock, port answers", False, None, answers, GatewayState.LIVE, None),
    ("owner lives", True, alive(PID, ticks=TICKS), refuses, GatewayState.LIVE, PID),
    ("owner lives, start not to be seen, argv fits", True, alive(PID), None, GatewayState.LIVE, PID),
    ("some process lives there", True, alive(PID, argv=("vim",)), refuses, GatewayState.UNKNOWN, PID),
    ("owner dead", True, ProcessEvidence(PID, alive=False), None, GatewayState.DEAD, PID),
    ("owner dead, port refused", True, ProcessEvidence(PID, alive=False), refuses, GatewayState.DEAD, PID),
    ("pid used again", True, alive(PID, ticks=TICKS + 1), refuses, GatewayState.DEAD, PID),
    ("owner dead here, port answers", True, ProcessEvidence(PID, alive=False), answers, GatewayState.LIVE, None),
    ("owner hidden", True, ProcessEvidence(PID, None, why_unknown="other-user"), refuses, GatewayState.UNKNOWN, PID),
    ("owner hidden, port answers", True, ProcessEvidence(PID, None, why_unknown="x"), answers, GatewayState.LIVE, None),
]


@pytest.mark.parametrize("case", ROWS, ids=[row[0] for row in ROWS])
def test_gateway(state: StateDir, case: tuple[Any, ...]) -> None:
    _name, locked, owner, probe, expected, pid = case
    if locked:
        gateway_lock(state)
    processes = FixedProcesses({PID: owner} if owner is not None else {})
    gateway = state.read(processes, port_probe=probe).gateway
    assert (gateway.state, gateway.pid) == (expected, pid)
    assert gateway.how
    assert gateway.port == 18_789


def test_a_lock_that_spells_the_path_differently_is_ours_too(state: StateDir) -> None:
    (state.home / "link").symlink_to(state.home)
    lock = gateway_lock(state, configPath=str(state.home / "link" / ".openclaw" / "openclaw.json"))
    lock.rename(lock.with_name("gateway.00000000.lock"))
    foreign = lock.with_name("gateway.11111111.lock")
    foreign.write_text(json.dumps({"pid": 5, "configPath": "/elsewhere/openclaw.json"}))
    found = state.read(FixedProcesses({PID: alive(PID, ticks=TICKS), 5: alive(5)}))
    assert (found.gateway.state, found.gateway.pid, len(found.locks)) == (GatewayState.LIVE, PID, 1)


def test_the_locks_own_port_wins(state: StateDir) -> None:
    gateway_lock(state, port=19_120)
    assert state.read(FixedProcesses({PID: alive(PID, ticks=TICKS)})).gateway.port == 19_120


@pytest.mark.parametrize("hours", [-1, 0, 1])
def test_by_a_gateways_clock_its_times_are_judged(state: StateDir, hours: int) -> None:
    """A run that it began a minute ago is a minute old, and its silence begins now."""
    now, offset = 1_795_300_000_000, hours * 3_600_000
    began = now - 600_000
    state.clock = ManualClock(now)
    lock = gateway_lock(state, createdAt=timestamp(began + offset))
    os.utime(lock, ns=(began * 1_000_000, began * 1_000_000))
    since = now + offset - 60_000
    row = {"sessionId": "s", "status": "running", "startedAt": since, "updatedAt": since}
    (state.sessions_dir / "sessions.json").write_text(json.dumps({"agent:main:main": row}))
    processes = FixedProcesses({PID: alive(PID, ticks=TICKS, started_at=began - 5_000)})
    for fresh in (state.sessions_dir / "unlisted.jsonl", state.sessions_dir / "s.jsonl.lock"):
        fresh.write_text("")
        os.utime(fresh, ns=(now * 1_000_000, now * 1_000_000))
    found = state.reader(processes, port_probe=ask_healthz, live_probe=lambda _port: Serving.SILENT).read()
    assert found.gateway.clock_offset == offset
    assert found.as_of == now + offset
    assert found.gateway.silent_since == found.as_of
    session, unlisted = found.sessions
    assert (session.active, found.as_of - (session.started_at or 0)) == (True, 60_000)
    assert (unlisted.session_id, unlisted.updated_at) == ("unlisted", found.as_of)
    (written_now,) = (lock for lock in found.locks if lock.pid is None)
    assert may_be_being_written(written_now, found.as_of)


def test_where_the_gateway_lives_unseen_no_pid_proves_anything(state: StateDir) -> None:
    gateway_lock(state)
    session_lock(state)
    processes = FixedProcesses()
    assert {lock.verdict.kind for lock in state.read(processes).locks} == {VerdictKind.STALE}
    for lock in state.read(processes, port_probe=answers).locks:
        assert (lock.verdict.kind, lock.verdict.reasons) == (VerdictKind.UNKNOWN, ("other-namespace",))


def test_files_that_grow_without_a_process_are_signs_of_life(state: StateDir) -> None:
    gateway_lock(state)
    session_lock(state)
    trajectory = state.sessions_dir / "s.trajectory.jsonl"
    trajectory.write_text("{}\n")
    state.sessions({"agent:main:main": {"sessionId": "s", "status": "running", "startedAt": 1}})
    reader = state.reader()
    assert reader.read().gateway.state is GatewayState.DEAD
    trajectory.write_text("{}\n{}\n")
    living = reader.read()
    assert living.gateway.state is GatewayState.UNKNOWN
    assert {lock.verdict.reasons for lock in living.locks} == {("other-namespace",)}
    assert living.sessions[0].active is None
    state.clock.pause(LIFE_SECONDS + 1)
    quiet = reader.read()
    assert quiet.gateway.state is GatewayState.DEAD
    assert {lock.verdict.kind for lock in quiet.locks} == {VerdictKind.STALE}


def test_what_was_written_before_a_crash_is_no_sign_of_life_after_it(state: StateDir) -> None:
    gateway_lock(state)
    session_lock(state, pid=PID)
    trajectory = state.sessions_dir / "s.trajectory.jsonl"
    trajectory.write_text("{}\n")
    state.sessions({"agent:main:main": {"sessionId": "s", "status": "running"}})
    processes = FixedProcesses({PID: alive(PID, ticks=TICKS)})
    reader = state.reader(processes)
    reader.read()
    trajectory.write_text("{}\n{}\n")
    processes.known.clear()
    assert reader.read().gateway.state is GatewayState.DEAD
    assert reader.read().gateway.state is GatewayState.DEAD


def test_one_pid_is_looked_up_once_in_a_snapshot(state: StateDir) -> None:
    gateway_lock(state)
    session_lock(state, pid=PID)
    processes = FixedProcesses()
    state.read(processes)
    assert processes.asked == [PID]


# --- the port ----------------------------------------------------------------------------------------------------


class Answer(http.server.BaseHTTPRequestHandler):
    body = b'{"ok":true,"status":"live"}'

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_arguments: object) -> None:
        pass


class Foreign(Answer):
    body = b"<html>some other service</html>"


@pytest.fixture(params=[(Answer, True), (Foreign, False)], ids=["openclaw", "foreign"])
def served(request: pytest.FixtureRequest) -> Iterator[tuple[int, bool]]:
    handler, expected = request.param
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port, expected
        server.shutdown()
        thread.join()


def test_only_openclaws_answer_counts(served: tuple[int, bool]) -> None:
    port, expected = served
    assert (ask_healthz(port) is Serving.ANSWERS) is expected


def test_a_closed_port_does_not_answer() -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        port = server.server_port
    assert (ask_healthz(port) is Serving.ANSWERS) is False


def test_the_port_is_asked_every_few_seconds_at_most() -> None:
    clock = ManualClock()
    asked: list[int] = []

    def probe(port: int) -> bool:
        asked.append(port)
        return len(asked) > 1

    throttled = ThrottledProbe(probe, clock)
    assert [throttled(1), throttled(1), throttled(2)] == [False, False, True]
    clock.pause(5)
    assert throttled(1) is True
    assert asked == [1, 2, 1]


# --- mounts ------------------------------------------------------------------------------------------------------

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:30 / /srv/nfs rw,relatime - nfs4 server:/export rw
31 22 0:31 / /srv/with\\040space rw - fuse.sshfs host:/ rw
32 22 0:32 / /srv/nfs/local rw - xfs /dev/vdb rw
33 22 0:33 / /virtio rw - virtiofs tag rw
garbage
"""


@pytest.mark.parametrize(
    ("path", "kind", "obstacles"),
    [
        ("/home/op/.openclaw", "ext4", ()),
        ("/srv/nfs/.openclaw", "nfs4", ("network-mount",)),
        ("/srv/nfsx/.openclaw", "ext4", ()),
        ("/srv/nfs/local/.openclaw", "xfs", ()),
        ("/srv/with space/.openclaw", "fuse.sshfs", ("fuse-mount",)),
        ("/virtio/x", "virtiofs", ("fuse-mount",)),
    ],
)
def test_mounts(tmp_path: Path, path: str, kind: str, obstacles: tuple[str, ...]) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS)
    assert filesystem(Path(path), table) == kind
    assert mount_obstacles(Path(path), table) == obstacles


def test_a_state_directory_on_a_network_mount(state: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    session_lock(state)
    monkeypatch.setattr("clawtop.store.snapshot.mount_obstacles", lambda _path: ("network-mount",))
    (lock,) = state.read().locks
    assert (lock.verdict.kind, lock.verdict.reasons) == (VerdictKind.UNKNOWN, ("network-mount",))


def test_growth_is_seen_between_two_looks_only(tmp_path: Path) -> None:
    clock = ManualClock()
    life = LifeWatch(clock)
    file = tmp_path / "log"
    file.write_text("a")
    assert not life.shows([str(file)])
    assert not life.shows([str(file)])
    file.write_text("ab")
    life.forget()
    assert not life.shows([str(file)])
    file.write_text("abc")
    assert life.shows([str(file)])
    file.unlink()
    assert life.shows([str(file)])
    clock.pause(LIFE_SECONDS)
    assert not life.shows([str(file)])
