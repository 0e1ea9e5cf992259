"""Is a run going on: every witness against every other."""

from __future__ import annotations

from dataclasses import replace
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
    ProcessEvidence,
    Session,
    TurnOutcome,
    Verdict,
    VerdictKind,
    Witness,
    WitnessKind,
)
from clawtop.core.session.activity import RunActivity, judge
from clawtop.core.session.disk_witness import (
    EMBEDDED_RUN_MS,
    NOT_LOOKED,
    SETTLING_MS,
    SILENT_RUN_MS,
    CommandLine,
    TrajectoryRun,
    lock_witness,
    status_witness,
    trajectory_witnesses,
    turns_of,
)

NOW = 1_795_214_110_000
STARTED = NOW - 20_000
LIVE = Gateway(GatewayState.LIVE, 7, 18789, started_at=NOW - 60_000)
LONG_LIVE = Gateway(GatewayState.LIVE, 7, 18789, started_at=NOW - 10 * SILENT_RUN_MS)
DEAD = Gateway(GatewayState.DEAD, 7, 18789, started_at=NOW - 60_000)
ABSENT = Gateway(GatewayState.ABSENT)
UNKNOWN = Gateway()
NOBODY = CommandLine(())
SOMEBODY = CommandLine((ProcessEvidence(11, True, started_at=STARTED - 5_000, argv=("openclaw-agent",)),))


def session(status: str | None = "running", **more: Any) -> Session:
    facts: dict[str, Any] = {"started_at": STARTED, "updated_at": STARTED} | more
    return Session("main", "agent:main:main", "s", "/s.jsonl", status=status, **facts)


def lock(kind: VerdictKind) -> Lock:
    file = LockFile("/s.jsonl.lock", LockKind.SESSION, LockIdentity(1, 1, ""), NOW, {})
    return Lock(file, 7, NOW, None, None, None, Verdict(kind), OpenClawVerdict(False, (), False))


def ended(ago: int, status: str = "success", run: str | None = None) -> TrajectoryRun:
    return TrajectoryRun(NOW - ago, "session.ended", status, since=NOW - ago - 1_000, run_id=run)


def begun(ago: int, quiet: int | None = None, run: str | None = "r") -> TrajectoryRun:
    return TrajectoryRun(NOW - (ago if quiet is None else quiet), "prompt.submitted", since=NOW - ago, run_id=run)


def cron(ago: int) -> TrajectoryRun:
    return replace(begun(ago), trigger="cron")


def judged(
    row: Session,
    gateway: Gateway,
    held: Lock | None = None,
    runs: tuple[TrajectoryRun, ...] = (),
    *,
    more: tuple[Witness, ...] = (),
    command_line: CommandLine = NOT_LOOKED,
    throughout: bool = False,
) -> RunActivity:
    told = trajectory_witnesses(runs, gateway, NOW, command_line, status=row.status)
    status = status_witness(row, gateway, NOW, command_line)
    signs = [w.at for w in (*told, status) if w is not None and w.running and w.at is not None]
    lock_tells = lock_witness(held, throughout=throughout, now=NOW, last_sign=max(signs, default=None))
    witnesses = [w for w in (lock_tells, *told, status, *more) if w is not None]
    return judge(row, witnesses, gateway, command_line)


TWO_RUNS = session("done", ended_at=STARTED - 4_000)
LONG_AGO = NOW - SILENT_RUN_MS - 1

ROWS = [
    ("held lock wins", session("done"), DEAD, lock(VerdictKind.HELD), (), True, None),
    ("running, gateway lives", session(), LIVE, None, (), True, None),
    ("running, gateway dead", session(), DEAD, None, (), False, "ghost"),
    ("running, stale lock, gateway dead", session(), DEAD, lock(VerdictKind.STALE), (), False, "ghost"),
    ("running, not known", session(), UNKNOWN, None, (), None, None),
    ("running, before this gateway", session(started_at=NOW - 90_000), LIVE, None, (), False, "ghost"),
    ("trajectory ended well", session(), LIVE, None, (ended(5_000),), False, "unsettled"),
    ("trajectory ended well, nothing known", session(), UNKNOWN, None, (ended(5_000),), False, "ghost"),
    ("trajectory ended before this run", session(), LIVE, None, (ended(30_000),), True, None),
    ("attempt failed just now", session(), LIVE, None, (ended(5_000, "error"),), True, None),
    (
        "attempt failed long ago",
        session(started_at=NOW - 100_000),
        LONG_LIVE,
        None,
        (ended(SETTLING_MS + 1, "error"),),
        False,
        "unsettled",
    ),
    (
        "its last model failed just now",
        session(),
        LIVE,
        None,
        (replace(ended(5_000, "error"), exhausted=True),),
        False,
        "unsettled",
    ),
    ("in the middle", session(), LIVE, None, (begun(1_000),), True, None),
    ("end recorded", session(ended_at=NOW - 1_000), LIVE, None, (), False, "unsettled"),
    ("end of an earlier run", session(ended_at=STARTED - 1_000), LIVE, None, (), True, None),
    ("command-line run?", session(), ABSENT, None, (), None, None),
    (
        "no gateway, long ago",
        session(started_at=NOW - EMBEDDED_RUN_MS - 1, updated_at=None),
        ABSENT,
        None,
        (),
        False,
        "ghost",
    ),
    ("done", session("done"), LIVE, None, (), False, None),
    ("done, lock not to be judged", session("done"), LIVE, lock(VerdictKind.UNKNOWN), (), None, None),
    ("no status, gateway gone", session(None), DEAD, None, (), False, None),
    ("no status, gateway lives", session(None), LIVE, None, (), None, None),
    ("unknown status", session("dreaming"), LIVE, None, (), None, None),
    (
        "settled, but a run is open since",
        session("done", ended_at=NOW - 9_000),
        LIVE,
        None,
        (begun(5_000),),
        True,
        None,
    ),
    ("settled with an end before its start", session("failed", ended_at=1), LIVE, None, (begun(5_000),), True, None),
    ("cron: no status, a run is open", session(None), LIVE, None, (begun(5_000),), True, None),
    ("cron: no status, its run ended", session(None), LIVE, None, (ended(5_000),), False, None),
    ("post-recovery: began anew under this gateway", session(started_at=1), LIVE, None, (begun(5_000),), True, None),
    ("open since before this gateway", session("done"), LIVE, None, (begun(70_000),), None, None),
    ("silent for long", session(None), LONG_LIVE, None, (begun(SILENT_RUN_MS + 1),), None, None),
    ("cron, its gateway is gone", session(None), DEAD, None, (cron(5_000),), False, None),
    ("marked by a gateway that is gone", session(), DEAD, None, (begun(5_000),), False, "ghost"),
    ("settled, its end before its start", TWO_RUNS, LIVE, None, (), None, None),
    ("settled so, gateway not known", TWO_RUNS, UNKNOWN, None, (), None, None),
    ("settled so, gateway gone", TWO_RUNS, DEAD, None, (), False, None),
    ("settled so, and ended since", TWO_RUNS, LIVE, None, (ended(5_000),), False, None),
    ("settled so, and begun since", TWO_RUNS, LIVE, None, (begun(5_000),), True, None),
    (
        "settled so, long ago",
        replace(TWO_RUNS, started_at=LONG_AGO, updated_at=LONG_AGO, ended_at=1),
        LONG_LIVE,
        None,
        (),
        False,
        None,
    ),
    ("long, but alive", session(None), LONG_LIVE, None, (begun(SILENT_RUN_MS + 1, quiet=10),), True, None),
]


@pytest.mark.parametrize("case", ROWS, ids=[row[0] for row in ROWS])
def test_judge(case: tuple[Any, ...]) -> None:
    _name, row, gateway, held, runs, active, problem = case
    found = judged(row, gateway, held, runs)
    assert found.active is active, found.how
    assert found.how
    assert (found.problem.code if found.problem is not None else None) == problem


def test_a_generation_that_locks_for_the_whole_run() -> None:
    quiet = session(started_at=NOW - SETTLING_MS - 1, updated_at=NOW - SETTLING_MS - 1)
    assert judged(quiet, LONG_LIVE, throughout=True).active is False
    assert judged(quiet, LONG_LIVE).active is True
    assert judged(session(), LONG_LIVE, throughout=True).active is True


LOCAL_ROWS = [
    ("its process is there", DEAD, (begun(5_000),), SOMEBODY, True),
    ("nobody is there", DEAD, (begun(5_000),), NOBODY, False),
    ("nobody looked", DEAD, (begun(5_000),), NOT_LOOKED, None),
    ("nobody looked, long ago", DEAD, (begun(EMBEDDED_RUN_MS + 1),), NOT_LOOKED, False),
    ("the process began after the run", DEAD, (begun(60_000),), SOMEBODY, False),
    ("a gateway that is not known", UNKNOWN, (begun(5_000),), NOBODY, None),
    ("left open, others followed", LONG_LIVE, (begun(90_000), ended(70_000, run="b")), NOBODY, False),
    ("left open, others followed, but it may live", LONG_LIVE, (begun(9_000), ended(70_000, run="b")), SOMEBODY, True),
]


@pytest.mark.parametrize("case", LOCAL_ROWS, ids=[row[0] for row in LOCAL_ROWS])
def test_runs_of_the_command_line(case: tuple[Any, ...]) -> None:
    _name, gateway, runs, command_line, active = case
    row = session("done", started_at=NOW - 110_000, ended_at=NOW - 100_000)
    found = judged(row, gateway, None, runs, command_line=command_line)
    assert found.active is active, found.how


def test_the_gateway_says_no_but_knows_only_its_own_runs() -> None:
    no = Witness(WitnessKind.GATEWAY, False, "the gateway says that nothing runs", at=NOW)
    settled = session("done", ended_at=NOW - 100_000)
    assert judged(settled, LIVE, None, (begun(5_000),), more=(no,), command_line=SOMEBODY).active is True
    assert judged(settled, LIVE, None, (begun(5_000),), more=(no,), command_line=NOBODY).active is False
    assert judged(session(), LIVE, more=(no,)).active is False


@pytest.mark.parametrize("kind", [WitnessKind.GATEWAY, WitnessKind.CLAIM, WitnessKind.PROCESS, WitnessKind.LOG])
def test_one_who_sees_a_run_is_enough(kind: WitnessKind) -> None:
    yes = Witness(kind, True, "it runs", at=NOW)
    assert judged(session("done", ended_at=NOW - 1_000), LIVE, None, (ended(5_000),), more=(yes,)).active is True


def test_the_log_tells_the_end_of_the_same_run() -> None:
    over = Witness(WitnessKind.LOG, False, "its last model failed, according to the log", at=NOW - 4_000, run_id="r")
    attempt = ended(5_000, "error", "r")
    found = judged(session(), LIVE, None, (attempt,), more=(over,))
    assert (found.active, found.problem and found.problem.code) == (False, "unsettled")


def test_turns_of_a_trajectory() -> None:
    runs = (
        ended(5_000),
        ended(9_000, "error"),
        TrajectoryRun(NOW - 7_000, "session.ended", "error", timed_out=True, aborted=True),
        TrajectoryRun(NOW - 6_000, "session.ended", "error", aborted=True),
        begun(1_000),
    )
    outcomes = [turn.outcome for turn in turns_of(runs)]
    assert outcomes == [TurnOutcome.FAILED, TurnOutcome.TIMED_OUT, TurnOutcome.STOPPED, TurnOutcome.ANSWERED]


@pytest.mark.parametrize(("later_ms", "active"), [(0, False), (1_900, False), (2_100, None)])
def test_an_attempts_end_that_two_sources_tell_is_one_end(later_ms: int, active: bool | None) -> None:
    """2026.5.20 logs that a model answered some milliseconds after the trajectory ended."""
    over = Witness(WitnessKind.TRAJECTORY, False, "its trajectory ended", at=NOW - 9_000, run_id="r")
    doubt = Witness(
        WitnessKind.LOG, None, "its attempt failed, according to the log", at=over_at(over, later_ms), run_id="r"
    )
    assert judge(session("done", ended_at=NOW - 9_100), (over, doubt), LIVE, NOBODY).active is active


def over_at(witness: Witness, later_ms: int) -> int:
    assert witness.at is not None
    return witness.at + later_ms
