"""What a gateway's words are worth as witnesses."""

from __future__ import annotations

from clawtop.core.generations import SEMANTICS
from clawtop.core.model import GatewayWords, RunSight, Session, TaskSight, Witness
from clawtop.core.session.gateway_witness import witnesses_of

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
