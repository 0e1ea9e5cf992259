"""What ends the run that holds a session: each remedy where it works, and never where it does not."""

from __future__ import annotations

import pytest

from clawtop.core.generations import SEMANTICS
from clawtop.core.model import GatewayState, TaskSight
from clawtop.core.session.proof import Access
from clawtop.core.session.remedies import HeldRun, Means, OwnProcess, queue_words, remedies

MAIN, JOB, BEAT = "agent:main:main", "agent:main:cron:j", "agent:main:main:heartbeat"
TASK = TaskSight("task-1", JOB, "cron", "running")


def means(version: str, run: HeldRun, access: Access = Access.OPEN, gateway: GatewayState = GatewayState.LIVE) -> str:
    found = remedies(run, SEMANTICS[version].remote, gateway, access, abort_ms=360_000)
    return " ".join(remedy.means for remedy in found)


@pytest.mark.parametrize(
    ("version", "run", "access", "expected"),
    [
        ("3.28", HeldRun(MAIN), Access.OPEN, "type"),
        ("3.28", HeldRun(JOB), Access.OPEN, "restart"),
        ("5.x", HeldRun(MAIN, True), Access.OPEN, "abort wait"),
        ("5.x", HeldRun(MAIN, False), Access.OPEN, "restart wait"),
        ("5.x", HeldRun(JOB, False, TASK), Access.OPEN, "restart wait"),
        ("5.x", HeldRun(MAIN), Access.NO_TOKEN, "type wait"),
        ("5.x", HeldRun(JOB), Access.NO_TOKEN, "restart wait"),
        ("5.x", HeldRun(BEAT), Access.NO_TOKEN, "type restart wait"),
        ("6.11", HeldRun(JOB, False, TASK), Access.OPEN, "cancel restart wait"),
        ("6.11", HeldRun(MAIN, True), Access.OPEN, "abort wait"),
        ("8.x", HeldRun(JOB, True, TASK), Access.OPEN, "abort cancel wait"),
        ("9.x", HeldRun(MAIN, None), Access.OPEN, "abort wait"),
        ("9.x", HeldRun(MAIN, True), Access.OFF, "type wait"),
        ("9.x", HeldRun(MAIN, True, process=OwnProcess(7)), Access.OPEN, "abort stop wait"),
    ],
)
def test_what_works_comes_first(version: str, run: HeldRun, access: Access, expected: str) -> None:
    assert means(version, run, access) == expected


def test_a_gateway_that_is_not_known_to_live_is_told_nothing() -> None:
    for state in (GatewayState.DEAD, GatewayState.ABSENT, GatewayState.UNKNOWN):
        assert means("9.x", HeldRun(MAIN, True), gateway=state) == ""
        assert means("9.x", HeldRun(MAIN, True, process=OwnProcess(7)), gateway=state) == "stop"


def test_when_the_gateway_acts_by_itself() -> None:
    def words(quiet_ms: int | None) -> str:
        found = remedies(
            HeldRun(MAIN, True, quiet_ms=quiet_ms),
            SEMANTICS["5.x"].remote,
            GatewayState.LIVE,
            Access.OPEN,
            abort_ms=360_000,
        )
        assert found[-1].means is Means.WAIT
        return found[-1].words

    assert words(110_000) == "the gateway itself aborts a run that makes no progress for 6m00s: in 4m10s"
    assert words(400_000).endswith("at its next check")
    assert words(None) == "the gateway itself aborts a run that makes no progress for 6m00s"


def test_what_waits_is_named_before_an_abort_drops_it() -> None:
    assert queue_words((), SEMANTICS["9.x"].remote) is None
    unseen = "anything a chat has sent meanwhile waits behind it unseen on this version"
    assert queue_words((), SEMANTICS["8.x"].remote) == f"{unseen}: an abort drops it"
    assert queue_words((), SEMANTICS["6.11"].remote) == f"{unseen}: after an abort it starts within seconds"
    assert queue_words(("r2", "r3"), SEMANTICS["9.x"].remote) == (
        "2 inputs wait behind it (r2, r3): an abort drops them"
    )
    assert queue_words(("r2",), SEMANTICS["6.11"].remote) == (
        "1 input waits behind it (r2): after an abort the next one starts within seconds"
    )


def test_the_command_to_type_is_quoted() -> None:
    (typed, _) = remedies(
        HeldRun("agent:main:it's"), SEMANTICS["5.x"].remote, GatewayState.LIVE, Access.OFF, abort_ms=360_000
    )
    assert typed.command is not None
    assert typed.command.startswith("openclaw gateway call sessions.abort --params ")
