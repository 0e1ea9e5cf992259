"""A gateway of another user is not believed: it is unknown, its owner is named, and nothing is sent to it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from clawtop.core.health.judgement import judge
from clawtop.core.model import (
    Gateway,
    GatewayState,
    Lock,
    LockFile,
    LockIdentity,
    LockKind,
    OpenClawVerdict,
    ProcessEvidence,
    Verdict,
    VerdictKind,
)
from clawtop.engine.gateway.door import Door
from clawtop.engine.gateway.errors import GatewayCallError
from clawtop.store.gateway.trust import believed, foreign
from tests.support.processes import FixedProcesses, alive
from tests.support.states_made import StateDir

OWNER, OTHER = 70_001, 70_002
PID, TICKS = 4_711, 900
PATH = "/tmp/openclaw-70001/gateway.0.lock"


def lock(uid: int | None = OWNER, kind: VerdictKind = VerdictKind.HELD) -> Lock:
    process = alive(PID, ticks=TICKS, uid=uid)
    file = LockFile(PATH, LockKind.GATEWAY, LockIdentity(1, 1, ""), 0, {"pid": PID})
    return Lock(file, PID, None, TICKS, None, process, Verdict(kind), OpenClawVerdict(False, (), None))


ROWS = [
    ("all are the owner's", lock(), {}, None),
    ("no witness knows", lock(None), {PATH: None}, None),
    ("the lock", lock(), {PATH: OTHER}, "its lock"),
    ("its directory", lock(), {str(Path(PATH).parent): OTHER}, "the directory of its lock"),
    ("its process", lock(OTHER), {}, f"process {PID}"),
    ("root's process", lock(0), {}, f"process {PID}"),
    ("a number that is another's by now", lock(OTHER, VerdictKind.STALE), {}, None),
]


@pytest.mark.parametrize("case", ROWS, ids=[row[0] for row in ROWS])
def test_whose_it_is(case: tuple[str, Lock, dict[str, int | None], str | None]) -> None:
    _name, given, uids, what = case
    found = foreign(given, OWNER, lambda path: uids.get(path, OWNER))
    if what is None:
        assert found is None
    else:
        whose = "root" if "root" in _name else f"uid {OTHER}"
        assert found == f"{what} belongs to {whose}, the state directory to uid {OWNER}"


LIVE = Gateway(GatewayState.LIVE, PID, 18_789)


@pytest.mark.parametrize(
    ("gateway", "locks", "doubts", "uid", "state"),
    [
        (LIVE, (lock(),), (), OTHER, GatewayState.LIVE),  # of a container: the number here is another process
        (
            LIVE,
            (lock(),),
            ("x",),
            OWNER,
            GatewayState.LIVE,
        ),  # the owner's own is proven; the other's counts for nothing
        (LIVE, (), (), OWNER, GatewayState.LIVE),
        (LIVE, (), (), None, GatewayState.LIVE),
        (LIVE, (), (), OTHER, GatewayState.UNKNOWN),
        (Gateway(GatewayState.DEAD, 5), (lock(),), ("x",), OWNER, GatewayState.UNKNOWN),
        (Gateway(GatewayState.ABSENT), (), ("x",), OWNER, GatewayState.UNKNOWN),
        (Gateway(GatewayState.ABSENT), (), (), OWNER, GatewayState.ABSENT),
    ],
)
def test_what_is_believed(
    gateway: Gateway, locks: tuple[Lock, ...], doubts: tuple[str, ...], uid: int | None, state: GatewayState
) -> None:
    found = believed(gateway, locks, doubts, OWNER, lambda pid: alive(pid, uid=uid))
    assert found.state is state
    assert (found.distrust is not None) is (state is GatewayState.UNKNOWN)
    assert found.distrust is None or (found.pid, found.port) == (None, None)


# --- in a snapshot -----------------------------------------------------------------------------------------------


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    """A directory with the lock of a gateway and a session that is stored as running."""
    made = StateDir(tmp_path)
    made.config({"meta": {"lastTouchedVersion": "2026.5.20"}, "gateway": {"auth": {"token": "tok-fake-1111"}}})
    digest = hashlib.sha256(str(made.openclaw_json).encode()).hexdigest()[:8]
    path = made.home / "tmp" / f"openclaw-{os.getuid()}" / f"gateway.{digest}.lock"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"pid": PID, "configPath": str(made.openclaw_json), "startTime": TICKS}))
    made.sessions({"agent:main:main": {"sessionId": "s", "status": "running", "startedAt": made.clock.now_ms()}})
    return made


def test_the_process_of_another_user(state: StateDir) -> None:
    asked: list[int] = []

    def probe(port: int) -> bool:
        asked.append(port)
        return True

    processes = FixedProcesses({PID: alive(PID, ticks=TICKS, uid=os.getuid() + 70_007)})
    reader = state.reader(processes, port_probe=probe)
    snapshot = reader.read()
    gateway = snapshot.gateway
    assert (gateway.state, asked) == (GatewayState.UNKNOWN, [])
    assert gateway.distrust is not None
    assert gateway.distrust.startswith(f"process {PID} belongs to uid {os.getuid() + 70_007}")
    assert snapshot.sessions[0].active is None
    causes = {cause.code: cause for cause in judge(snapshot, state.clock.now_ms()).causes}
    assert f"uid {os.getuid() + 70_007}" in causes["gateway-distrusted"].text
    with pytest.raises(GatewayCallError, match="no gateway is known to be live"):
        Door(lambda: reader.layout, processes=processes).knock(gateway)


def test_the_process_of_the_owner(state: StateDir) -> None:
    gateway = state.read(FixedProcesses({PID: alive(PID, ticks=TICKS, uid=os.getuid())})).gateway
    assert (gateway.state, gateway.distrust) == (GatewayState.LIVE, None)


@pytest.mark.parametrize(("age", "expected"), [("stale", GatewayState.ABSENT), ("held", GatewayState.UNKNOWN)])
def test_the_lock_of_another_user(
    state: StateDir, monkeypatch: pytest.MonkeyPatch, age: str, expected: GatewayState
) -> None:
    """What another user's lock says of a death proves as little as what it says of a life."""
    monkeypatch.setattr(
        "clawtop.store.gateway.reader.foreign", lambda lock, owner: foreign(lock, owner, lambda _: owner + 7)
    )
    process = alive(PID, ticks=TICKS) if age == "held" else ProcessEvidence(PID, alive=False)
    gateway = state.read(FixedProcesses({PID: process}), port_probe=lambda _: False).gateway
    assert gateway.state is expected
    assert (gateway.distrust is None) is (age == "stale")
