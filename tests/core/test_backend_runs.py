"""Whose runs the processes below a gateway work on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clawtop.core.generations import semantics_of, storage_of
from clawtop.core.model import (
    BackendProcess,
    Gateway,
    GatewayState,
    Generation,
    Session,
    Witness,
    WitnessKind,
)
from clawtop.core.session.activity import judge
from clawtop.core.session.backend_runs import process_witnesses, unseen_witnesses
from clawtop.core.session.proof import Access, ProofSource, Says, find, roles, statements_of

NOW = 1_800_000_000_000
OURS, OTHER, THIRD = "agent:main:main", "agent:main:telegram:1", "agent:work:main"
NAMED = BackendProcess(70, "claude-cli", OURS, NOW - 9_000, memory=5 << 20)
NAMELESS = BackendProcess(71, "my-cli", None, NOW - 9_000)


def session(key: str, active: bool | None = False, **more: object) -> Session:
    return replace(Session("main", key, key, None, active=active, active_how="so"), **more)  # type: ignore[arg-type]


IDLE = session(OURS, updated_at=NOW - 3_600_000, ended_at=NOW - 3_600_000)
JUST_TOUCHED = session(OTHER, updated_at=NOW - 10_000)


def told(*sessions: Session, by: tuple[BackendProcess, ...]) -> dict[str, tuple[bool | None, int | None]]:
    found = process_witnesses(by, sessions)
    return {key: (witnesses[0].running, witnesses[0].pid) for key, witnesses in found.items()}


@pytest.mark.parametrize(
    ("processes", "sessions", "expected"),
    [
        ((NAMED,), (IDLE, JUST_TOUCHED), {OURS: (True, 70)}),
        ((replace(NAMED, stays=True),), (IDLE,), {OURS: (None, 70)}),
        ((NAMELESS,), (IDLE, session(OTHER, True)), {OTHER: (True, 71)}),
        ((NAMELESS,), (session(OURS, None, provider="my-cli"), session(OTHER, True)), {OURS: (True, 71)}),
        ((NAMELESS,), (session(OURS, True), session(OTHER, None)), {}),
        ((NAMELESS, replace(NAMELESS, pid=72)), (session(OURS, True), session(OTHER, True)), {}),
        ((NAMED, NAMELESS), (session(OURS, True), session(OTHER, True)), {OURS: (True, 70), OTHER: (True, 71)}),
        ((NAMELESS,), (IDLE, JUST_TOUCHED), {OTHER: (None, None)}),
        ((NAMELESS,), (IDLE, replace(JUST_TOUCHED, ended_at=NOW - 1)), {}),
        ((replace(NAMELESS, stays=True),), (IDLE, JUST_TOUCHED), {}),
        ((replace(NAMED, key="agent:main:gone"),), (IDLE, session(OTHER, True)), {OTHER: (None, None)}),
        ((replace(NAMED, key=THIRD),), (IDLE, session(OTHER, True)), {}),
        ((), (IDLE,), {}),
    ],
    ids=[
        "it says so",
        "it outlives its turns",
        "only one may run",
        "only one of its provider may run",
        "it may be either's",
        "two for two, nobody says which",
        "one says so, the other is left",
        "nothing runs, one was just touched",
        "and has ended since",
        "a waiting one throws no doubt",
        "its session is not listed",
        "it works for another agent",
        "no process",
    ],
)
def test_a_process_is_tied_to_the_session_that_it_must_be(
    processes: tuple[BackendProcess, ...],
    sessions: tuple[Session, ...],
    expected: dict[str, tuple[bool | None, int | None]],
) -> None:
    assert told(*sessions, by=processes) == expected


def test_a_nameless_process_is_nobodys_for_certain_while_other_agents_are_not_looked_at() -> None:
    row = session(OURS, True)
    assert process_witnesses((NAMELESS,), (row,))[OURS][0].pid == 71
    (doubt,) = process_witnesses((NAMELESS,), (row,), complete=False)[OURS]
    assert (doubt.running, doubt.pid) == (None, None)
    assert process_witnesses((NAMED,), (row,), complete=False)[OURS][0].pid == 70
    assert process_witnesses((replace(NAMELESS, stays=True),), (row,), complete=False) == {}


LIVE = Gateway(GatewayState.LIVE, 7, started_at=NOW - 86_400_000)
ENDED = Witness(WitnessKind.STATUS, False, "stored as done", at=NOW - 3_600_000)


@pytest.mark.parametrize(
    ("process", "others", "active"),
    [
        (NAMED, (ENDED,), True),
        (replace(NAMED, stays=True), (ENDED,), None),
        (replace(NAMED, stays=True), (replace(ENDED, at=NOW - 1),), False),
        (replace(NAMED, stays=True), (Witness(WitnessKind.GATEWAY, False, "the gateway says no"),), False),
        (replace(NAMED, stays=True), (Witness(WitnessKind.STATUS, True, "stored as running", at=NOW - 5_000),), True),
    ],
)
def test_only_a_process_that_ends_with_its_turn_shows_a_run_by_itself(
    process: BackendProcess, others: tuple[Witness, ...], active: bool | None
) -> None:
    own = process_witnesses((process,), (IDLE,))[OURS]
    assert judge(replace(IDLE, status="done"), (*others, *own), LIVE).active is active


RUNNING = Witness(WitnessKind.STATUS, True, "stored as running, and its gateway is alive", at=NOW - 300_000)
NO_LOCK = Witness(WitnessKind.LOCK, False, "no write lock is held")


@pytest.mark.parametrize(
    "own",
    [
        process_witnesses((replace(NAMED, stays=True),), (session(OURS),))[OURS],
        process_witnesses((NAMELESS,), (session(OURS, status="running", provider="my-cli"),))[OURS],
        unseen_witnesses(("my-cli",), (session(OURS, status="running", provider="my-cli"),))[OURS],
    ],
    ids=["it outlives its turns", "nameless", "out of sight"],
)
def test_a_run_in_a_process_of_its_own_takes_no_lock(own: tuple[Witness, ...]) -> None:
    """2026.6.11 holds the write lock throughout a run of its own, and never for a command-line backend's."""
    row = session(OURS, status="running", provider="my-cli")
    assert judge(row, (RUNNING, NO_LOCK), LIVE).active is False
    assert judge(row, (RUNNING, NO_LOCK, *own), LIVE).active is True


def test_only_sessions_of_such_a_runtime_may_have_a_process_out_of_sight() -> None:
    rows = (
        session(OURS, status="running", provider="anthropic"),
        session(OTHER, status="done", provider="my-cli"),
        session(THIRD, status="running", provider="my-cli"),
    )
    assert set(unseen_witnesses(("my-cli",), rows)) == {THIRD}


def proof(row: Session, unseen: str | None = None) -> dict[ProofSource, Says]:
    return {one.source: one.says for one in statements_of(row, None, None, OURS, unseen=unseen)}


def test_a_session_is_released_only_without_its_process() -> None:
    (own,) = process_witnesses((NAMED,), (IDLE,))[OURS]
    busy = replace(IDLE, active=True, witnesses=(own,))
    assert proof(busy)[ProofSource.PROCESS] is Says.YES
    assert proof(IDLE)[ProofSource.PROCESS] is Says.NO
    waiting = replace(IDLE, witnesses=(replace(own, running=None),))
    assert proof(waiting)[ProofSource.PROCESS] is Says.NO, "it waits for the next turn"
    assert proof(replace(waiting, active=None))[ProofSource.PROCESS] is Says.UNKNOWN
    assert proof(replace(waiting, active=True))[ProofSource.PROCESS] is Says.YES, "it works on the run that is seen"


def test_processes_that_cannot_be_seen_leave_a_release_unproven() -> None:
    said = statements_of(IDLE, None, None, OURS, unseen="they cannot be seen")
    table = roles(
        storage_of(Generation.B), semantics_of("2026.5.20", Generation.B).row.remote, GatewayState.LIVE, Access.OFF
    )
    assert find(said, table).missing is not None
    assert find(statements_of(IDLE, None, None, OURS), table).is_free
