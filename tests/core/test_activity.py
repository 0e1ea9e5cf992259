"""What the stored status "running" is worth."""

from __future__ import annotations

from typing import Any

import pytest

from clawtop.core.model import (
    Gateway,
    GatewayState,
    Lock,
    LockFile,
    LockIdentity,
    LockKind,
    OpenClawVerdict,
    Session,
    Verdict,
    VerdictKind,
)
from clawtop.core.session.activity import EMBEDDED_RUN_MS, SETTLING_MS, TrajectoryEnd, judge

NOW = 1_795_214_110_000
STARTED = NOW - 20_000
LIVE = Gateway(GatewayState.LIVE, 7, 18789, started_at=NOW - 60_000)
DEAD = Gateway(GatewayState.DEAD, 7, 18789, started_at=NOW - 60_000)
ABSENT = Gateway(GatewayState.ABSENT)
UNKNOWN = Gateway()


def session(status: str | None = "running", **more: Any) -> Session:
    facts: dict[str, Any] = {"started_at": STARTED, "updated_at": STARTED} | more
    return Session("main", "agent:main:main", "s", "/s.jsonl", status=status, **facts)


def lock(kind: VerdictKind) -> Lock:
    file = LockFile("/s.jsonl.lock", LockKind.SESSION, LockIdentity(1, 1, ""), NOW, {})
    return Lock(file, 7, NOW, None, None, None, Verdict(kind), OpenClawVerdict(False, (), False))


def ended(ago: int, status: str = "success") -> TrajectoryEnd:
    return TrajectoryEnd(NOW - ago, "session.ended", status)


ROWS = [
    ("held lock wins", session("done"), DEAD, lock(VerdictKind.HELD), None, True, False),
    ("running, gateway lives", session(), LIVE, None, None, True, False),
    ("running, gateway dead", session(), DEAD, None, None, False, True),
    ("running, stale lock, gateway dead", session(), DEAD, lock(VerdictKind.STALE), None, False, True),
    ("running, not known", session(), UNKNOWN, None, None, None, False),
    ("running, before this gateway", session(started_at=NOW - 90_000), LIVE, None, None, False, True),
    ("trajectory ended well", session(), LIVE, None, ended(5_000), False, True),
    ("trajectory ended well, nothing known", session(), UNKNOWN, None, ended(5_000), False, True),
    ("trajectory ended before this run", session(), LIVE, None, ended(30_000), True, False),
    ("attempt failed just now", session(), LIVE, None, ended(5_000, "error"), True, False),
    (
        "attempt failed long ago",
        session(started_at=NOW - 100_000),
        Gateway(GatewayState.LIVE, started_at=NOW - 200_000),
        None,
        ended(SETTLING_MS + 1, "error"),
        False,
        True,
    ),
    ("in the middle", session(), LIVE, None, TrajectoryEnd(NOW, "prompt.submitted"), True, False),
    ("end recorded", session(ended_at=NOW - 1_000), LIVE, None, None, False, True),
    ("end of an earlier run", session(ended_at=STARTED - 1_000), LIVE, None, None, True, False),
    ("command-line run?", session(), ABSENT, None, None, None, False),
    (
        "no gateway, long ago",
        session(started_at=NOW - EMBEDDED_RUN_MS - 1, updated_at=None),
        ABSENT,
        None,
        None,
        False,
        True,
    ),
    ("done", session("done"), LIVE, None, None, False, False),
    ("done, lock not to be judged", session("done"), LIVE, lock(VerdictKind.UNKNOWN), None, None, False),
    ("no status, gateway gone", session(None), DEAD, None, None, False, False),
    ("no status, gateway lives", session(None), LIVE, None, None, None, False),
    ("unknown status", session("dreaming"), LIVE, None, None, None, False),
]


@pytest.mark.parametrize("case", ROWS, ids=[row[0] for row in ROWS])
def test_judge(case: tuple[Any, ...]) -> None:
    _name, row, gateway, held, end, active, ghost = case
    found = judge(row, gateway, held, end, NOW)
    assert found.active is active
    assert found.how
    assert (found.problem is not None and found.problem.code == "ghost") is ghost


def test_a_generation_that_locks_for_the_whole_run() -> None:
    quiet = session(started_at=NOW - SETTLING_MS - 1, updated_at=NOW - SETTLING_MS - 1)
    gateway = Gateway(GatewayState.LIVE, started_at=NOW - 200_000)
    assert judge(quiet, gateway, None, None, NOW, locked_throughout=True).active is False
    assert judge(quiet, gateway, None, None, NOW, locked_throughout=False).active is True
    assert judge(session(), gateway, None, None, NOW, locked_throughout=True).active is True
