"""What a gateway's words are worth as witnesses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from clawtop.core.generations import SEMANTICS
from clawtop.core.model import (
    Gateway,
    GatewayState,
    GatewayWords,
    Generation,
    RunSight,
    Session,
    Snapshot,
    TaskSight,
    Witness,
    WitnessKind,
)
from clawtop.core.session.gateway_witness import witnesses_of
from clawtop.core.session.openclaw_runs import heard

KEY = "agent:main:main"
JOB = "agent:main:cron:job-1"
SESSIONS = (Session("main", KEY, "s1", None), Session("main", JOB, "s2", None))
START = 1_000


def told(version: str, key: str, sight: RunSight | None = None, *tasks: TaskSight) -> Witness | None:
    sessions = {} if sight is None else {sight.key: sight}
    words = GatewayWords(2_000, sessions=sessions, tasks=tasks)
    found = witnesses_of(words, SESSIONS, SEMANTICS[version].remote, gateway_since=START)
    return found[key][0] if key in found else None


def cron(key: str | None = JOB, **more: object) -> TaskSight:
    return TaskSight("t", key, "cron", "running", **{"started_at": 1_500, **more})  # type: ignore[arg-type]


def test_a_yes_counts_in_every_version() -> None:
    for version in ("5.x", "6.11", "7.1", "8.x", "9.x"):
        witness = told(version, KEY, RunSight(KEY, True, ("r1", "r2")))
        assert witness is not None
        assert (witness.running, witness.run_id, witness.waiting) == (True, "r1", 1)


def test_a_no_counts_only_where_every_run_is_seen() -> None:
    for version, counts in (("5.x", False), ("6.11", False), ("7.1", False), ("8.x", True), ("9.x", True)):
        witness = told(version, KEY, RunSight(KEY, False))
        assert (witness is not None) is counts
        assert witness is None or witness.running is False


def test_a_cron_jobs_task_is_a_run_although_the_session_says_none() -> None:
    for version in ("5.x", "6.11", "9.x"):
        witness = told(version, JOB, RunSight(JOB, False), cron())
        assert witness is not None
        assert witness.running
        assert "cron task" in witness.what
    assert told("5.x", JOB, None, cron("agent:*:cron:job-1")) is not None
    assert told("5.x", KEY, None, cron("agent:*:cron:job-1")) is None
    assert told("5.x", KEY, None, cron(None)) is None


def test_a_task_of_an_earlier_life_is_no_witness() -> None:
    assert told("6.11", JOB, None, cron(started_at=START - 1)) is None


def test_a_queued_task_waits_and_does_not_work() -> None:
    queued = TaskSight("q", KEY, "cli", "running", "queued", "r2", 1_600)
    working = TaskSight("w", KEY, "cli", "running", "running", "r1", 1_500)
    witness = told("9.x", KEY, RunSight(KEY, True), working, queued)
    assert witness is not None
    assert (witness.run_id, witness.waiting, witness.since) == ("r1", 1, 1_500)
    assert told("9.x", KEY, None, queued) is None


def test_silence_is_no_witness() -> None:
    assert told("9.x", KEY) is None
    assert told("9.x", KEY, RunSight(KEY, None)) is None
    words = GatewayWords(1, sessions={KEY: RunSight(KEY, True)}, problem="it did not answer")
    assert witnesses_of(words, SESSIONS, SEMANTICS["9.x"].remote, gateway_since=None) == {}


LINE = 100_000
"""When the log said that an attempt failed; 2026.5.20 says no more of it."""

FAILED = Witness(WitnessKind.LOG, None, "its attempt failed, according to the log", at=LINE, since=40_000, run_id="r1")
NO = RunSight(KEY, False)
YES = RunSight(KEY, True)
NEXT = Witness(WitnessKind.TRAJECTORY, True, "its trajectory shows a run that has not ended", at=LINE + 9_000)
SILENT = replace(NEXT, running=None, at=LINE + 1_500, run_id="r1")
HELD = Witness(WitnessKind.LOCK, True, "its write lock is held by process 7")
WORKS = Witness(WitnessKind.PROCESS, True, "process 8 works on it")
QUEUED = TaskSight("q", KEY, "cli", "running", "queued", "r2", LINE + 1)
ENDED = Witness(WitnessKind.TRAJECTORY, False, "its trajectory ended and nothing followed", at=LINE - 3_000)
OTHERS = (Witness(WitnessKind.STATUS, False, "stored as killed", at=LINE - 3_100, since=40_000),)


@pytest.mark.parametrize(
    ("sight", "said_at", "others", "tasks", "active"),
    [
        pytest.param(NO, LINE + 15_000, OTHERS, (), False, id="no, after a next attempt would have shown"),
        pytest.param(NO, LINE + 14_999, OTHERS, (), None, id="no, too soon"),
        pytest.param(NO, LINE - 1_000, OTHERS, (), None, id="no, before the line"),
        pytest.param(YES, LINE + 15_000, OTHERS, (), True, id="yes"),
        pytest.param(RunSight(KEY, None), LINE + 15_000, OTHERS, (), None, id="no answer to that"),
        pytest.param(RunSight(JOB, False), LINE + 15_000, OTHERS, (), None, id="of another session"),
        pytest.param(NO, LINE + 20_000, (*OTHERS, NEXT), (), True, id="no, and then a new run"),
        pytest.param(NO, LINE + 15_000, (*OTHERS, SILENT), (), None, id="no, but its next attempt began and is silent"),
        pytest.param(NO, LINE + 15_000, (*OTHERS, HELD), (), True, id="no, but locked"),
        pytest.param(NO, LINE + 15_000, (*OTHERS, WORKS), (), True, id="no, but a process works"),
        pytest.param(NO, LINE + 15_000, OTHERS, (QUEUED,), None, id="no, but a task waits"),
        pytest.param(
            NO, LINE + 15_000, (replace(OTHERS[0], at=LINE - 3_100, running=True),), (), True, id="stored as running"
        ),
    ],
)
def test_a_failed_attempt_was_the_last_if_the_gateway_says_no_long_enough_after_it(
    sight: RunSight, said_at: int, others: tuple[Witness, ...], tasks: tuple[TaskSight, ...], active: bool | None
) -> None:
    words = GatewayWords(said_at, sessions={sight.key: sight}, complete=True, tasks=tasks)
    assert judged_with(words, others).active is active


def test_an_answer_that_is_still_given_counts_from_when_it_was_given_last() -> None:
    words = GatewayWords(LINE - 1_000, sessions={KEY: NO}, tasks=())
    assert judged_with(words, OTHERS).active is None
    assert judged_with(words, OTHERS, said_at=LINE + 16_000).active is False


@pytest.mark.parametrize("more", [{"tasks": None}, {"tasks": (), "all_tasks": False}])
def test_no_doubt_ends_while_not_all_tasks_are_known(more: dict[str, Any]) -> None:
    words = GatewayWords(LINE + 15_000, sessions={KEY: NO}, complete=True, **more)
    assert judged_with(words, OTHERS).active is None


@pytest.mark.parametrize(
    ("now", "others", "active"),
    [
        pytest.param(LINE + 60_001, (*OTHERS, ENDED), False, id="its trajectory recorded nothing since"),
        pytest.param(LINE + 60_000, (*OTHERS, ENDED), None, id="one may still follow"),
        pytest.param(LINE + 60_001, OTHERS, None, id="nothing records its attempts"),
        pytest.param(
            LINE + 60_001, (*OTHERS, replace(ENDED, at=LINE - 60_001)), None, id="nothing recorded this attempt"
        ),
        pytest.param(LINE + 60_001, (*OTHERS, ENDED, NEXT), True, id="one followed"),
    ],
)
def test_without_the_gateway_a_trajectory_shows_that_no_attempt_followed(
    now: int, others: tuple[Witness, ...], active: bool | None
) -> None:
    assert judged_with(GatewayWords(now, problem="it was not asked"), others, now=now).active is active


def test_a_state_of_the_past_is_judged_by_its_own_time() -> None:
    before = Snapshot(1, LINE + 86_400_000, "here", "/s", Generation.B, "2026.5.20", judged_at=LINE + 12_000)
    before = replace(before, sessions=(Session("main", KEY, "s1", None, status="killed", active=None),))
    assert heard(before, {KEY: (*OTHERS, ENDED, FAILED)}).sessions[0].active is None


def judged_with(
    words: GatewayWords, others: tuple[Witness, ...], *, said_at: int | None = None, now: int = LINE + 12_000
) -> Session:
    """The session of a log that ends with a failed attempt, beside others, once the gateway has spoken."""
    session = Session("main", KEY, "s1", None, status="killed", active=None)
    gateway = Gateway(GatewayState.LIVE, 7, 18789, started_at=START)
    before = Snapshot(1, now, "here", "/s", Generation.B, "2026.5.20", gateway, sessions=(session,))
    before = heard(before, {KEY: (*others, FAILED)})
    told = witnesses_of(words, before.sessions, SEMANTICS["5.x"].remote, gateway_since=START, said_at=said_at)
    return heard(before, told).sessions[0]
