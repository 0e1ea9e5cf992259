"""Who has to say no before a session counts as released, by generation, gateway and access."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clawtop.core.generations import SEMANTICS, storage_of
from clawtop.core.model import (
    EndedTurn,
    Gateway,
    GatewayState,
    GatewayWords,
    Generation,
    Lock,
    LockFile,
    LockIdentity,
    LockKind,
    OpenClawVerdict,
    RunSight,
    Session,
    TaskSight,
    TurnOutcome,
    Verdict,
    VerdictKind,
    Witness,
    WitnessKind,
)
from clawtop.core.session.proof import (
    Access,
    NotRead,
    Proof,
    ProofRole,
    ProofSource,
    find,
    may_follow,
    quiet_ms,
    resumed_until,
    roles,
    statements_of,
)

KEY = "agent:main:main"
ROWS = {Generation.A: "3.28", Generation.B: "5.x", Generation.C: "6.11", Generation.D: "9.x"}
LIVE, UNKNOWN, DEAD, ABSENT = GatewayState.LIVE, GatewayState.UNKNOWN, GatewayState.DEAD, GatewayState.ABSENT
UNREAD = Session("main", KEY, "s", "/s.jsonl", status="done", active=False, active_how="stored as done")
IDLE = replace(UNREAD, witnesses=(Witness(WitnessKind.CLAIM, False, "no turn of it is claimed"),))
NO = GatewayWords(1, "v", {KEY: RunSight(KEY, False)}, complete=True, tasks=())
YES = replace(NO, sessions={KEY: RunSight(KEY, True)})
MUTE = GatewayWords(1, problem="the gateway did not answer")


def table(generation: Generation, gateway: GatewayState, access: Access = Access.OPEN) -> dict[ProofSource, ProofRole]:
    return dict(roles(storage_of(generation), SEMANTICS[ROWS[generation]].remote, gateway, access))


def required(generation: Generation, gateway: GatewayState, access: Access = Access.OPEN) -> str:
    """The table's row in letters: D decides, R required, - cannot; lock claim answer tasks queue process disk."""
    letters = {ProofRole.DECIDES: "D", ProofRole.REQUIRED: "R", ProofRole.CANNOT: "-"}
    row = table(generation, gateway, access)
    return "".join(letters[row[source]] for source in ProofSource)


@pytest.mark.parametrize(
    ("generation", "gateway", "access", "row"),
    [
        (Generation.A, LIVE, Access.OPEN, "D----RR"),
        (Generation.A, DEAD, Access.OPEN, "D----RR"),
        (Generation.B, LIVE, Access.OPEN, "R-RR-RR"),
        (Generation.B, UNKNOWN, Access.OPEN, "R-RR-RR"),
        (Generation.B, LIVE, Access.NO_TOKEN, "R----RR"),
        (Generation.B, LIVE, Access.OFF, "R----RR"),
        (Generation.B, DEAD, Access.OPEN, "R----RR"),
        (Generation.B, ABSENT, Access.OPEN, "R----RR"),
        (Generation.C, LIVE, Access.OPEN, "D-RR-RR"),
        (Generation.C, DEAD, Access.OPEN, "D----RR"),
        (Generation.D, LIVE, Access.OPEN, "-DRRRRR"),
        (Generation.D, LIVE, Access.NO_TOKEN, "-D--RRR"),
        (Generation.D, UNKNOWN, Access.OPEN, "-DRRRRR"),
        (Generation.D, DEAD, Access.OPEN, "-D---RR"),
    ],
)
def test_the_table(generation: Generation, gateway: GatewayState, access: Access, row: str) -> None:
    assert required(generation, gateway, access) == row


def lock(kind: VerdictKind) -> Lock:
    file = LockFile("/s.jsonl.lock", LockKind.SESSION, LockIdentity(1, 1, "d"), 0, {"pid": 9})
    return Lock(file, 9, None, None, None, None, Verdict(kind, ("why",)), OpenClawVerdict(False, (), None))


def finding(  # noqa: PLR0917 - the columns of a table
    generation: Generation,
    session: Session | None = IDLE,
    words: GatewayWords | None = NO,
    found: Lock | None = None,
    gateway: GatewayState = LIVE,
    access: Access = Access.OPEN,
) -> Proof:
    return find(statements_of(session, found, words, KEY), table(generation, gateway, access))


def seen_by(kind: WitnessKind, running: bool | None, **more: object) -> Session:
    witness = Witness(kind, running, f"the {kind} says so", **more)  # type: ignore[arg-type]
    return replace(IDLE, witnesses=(*(w for w in IDLE.witnesses if w.kind is not kind), witness))


@pytest.mark.parametrize("generation", Generation)
def test_all_say_no(generation: Generation) -> None:
    words = None if generation is Generation.A else NO
    assert finding(generation, words=words).is_free
    assert finding(generation, UNREAD, words).is_free
    assert finding(generation, None, words).is_free is (generation is not Generation.D)


def test_databases_that_were_not_read_prove_nothing() -> None:
    told = statements_of(IDLE, None, NO, KEY, unread=NotRead("openclaw.sqlite is locked"))
    missing = find(told, table(Generation.D, LIVE)).missing
    assert missing is not None
    assert missing.source is ProofSource.CLAIM
    assert find(told, table(Generation.C, LIVE)).is_free


@pytest.mark.parametrize("generation", [Generation.B, Generation.C, Generation.D])
def test_the_gateway_is_heard(generation: Generation) -> None:
    held = finding(generation, words=YES).held
    assert held is not None
    assert held.source is ProofSource.ANSWER
    for words in (MUTE, None, replace(NO, sessions={}, complete=False)):
        missing = finding(generation, words=words).missing
        assert missing is not None
        assert missing.source is ProofSource.ANSWER
    assert finding(generation, words=None, gateway=DEAD).is_free
    assert finding(generation, words=None, access=Access.NO_TOKEN).is_free


def test_a_cron_task_holds_it_although_the_gateway_says_no() -> None:
    cron = replace(NO, tasks=(TaskSight("t", KEY, "cron", "running"),))
    held = finding(Generation.B, words=cron).held
    assert held is not None
    assert held.source is ProofSource.TASKS


@pytest.mark.parametrize("generation", [Generation.A, Generation.B, Generation.C])
def test_a_list_or_locks_that_were_not_read_prove_nothing(generation: Generation) -> None:
    def found(session: Session | None, unlisted: NotRead | None = None, unlocked: NotRead | None = None) -> Proof:
        told = statements_of(session, None, None, KEY, unlisted=unlisted, unlocked=unlocked)
        return find(told, table(generation, DEAD))

    missing = found(None, unlocked=NotRead("sessions cannot be listed")).missing
    assert missing is not None
    assert missing.source is ProofSource.LOCK
    for session in (None, IDLE, replace(IDLE, active=None)):
        decided = storage_of(generation).locked_throughout  # by the lock, whatever the list says
        assert found(session, unlisted=NotRead("sessions.json is not JSON")).is_free is decided
    assert (
        found(RUNNING, unlisted=NotRead("sessions.json is not JSON")).held is not None
        or storage_of(generation).locked_throughout
    )


@pytest.mark.parametrize("words", [replace(NO, tasks=None), replace(NO, all_tasks=False)])
def test_tasks_that_were_not_all_read_prove_nothing(words: GatewayWords) -> None:
    missing = finding(Generation.B, words=words).missing
    assert missing is not None
    assert missing.source is ProofSource.TASKS


@pytest.mark.parametrize(
    ("words", "free"),
    [
        (NO, True),
        (YES, False),
        (replace(NO, complete=False), False),
        (replace(NO, sessions={KEY: RunSight(KEY, None)}), False),
    ],
)
def test_a_transcript_without_a_key_is_free_only_if_the_gateway_has_no_run_at_all(
    words: GatewayWords, free: bool
) -> None:
    found = find(statements_of(None, None, words, None), table(Generation.B, LIVE))
    assert found.is_free is free
    assert found.missing is None or found.missing.source is ProofSource.ANSWER


RUNNING = replace(IDLE, status="running", active=True, active_how="stored as running, and its gateway is alive")


def test_a_stored_status_is_outweighed_where_something_decides_and_the_gateway_says_no() -> None:
    assert finding(Generation.A, RUNNING, None).is_free
    assert finding(Generation.C, RUNNING, NO).is_free
    assert finding(Generation.D, RUNNING, NO).is_free
    assert finding(Generation.D, RUNNING, None, access=Access.NO_TOKEN).is_free
    assert finding(Generation.B, RUNNING, NO).held is not None
    assert finding(Generation.C, RUNNING, MUTE).held is not None
    assert finding(Generation.B, replace(RUNNING, active=None), NO).missing is not None


@pytest.mark.parametrize("generation", [Generation.A, Generation.B, Generation.C])
def test_a_write_lock_holds_it(generation: Generation) -> None:
    assert finding(generation, found=lock(VerdictKind.HELD)).held is not None
    assert finding(generation, found=lock(VerdictKind.UNKNOWN)).missing is not None


def test_on_d_a_claim_or_an_input_or_a_process_holds_it() -> None:
    assert finding(Generation.D, seen_by(WitnessKind.CLAIM, True)).held is not None
    assert finding(Generation.D, seen_by(WitnessKind.CLAIM, None)).missing is not None
    assert finding(Generation.D, seen_by(WitnessKind.CLAIM, False)).is_free
    assert finding(Generation.D, seen_by(WitnessKind.INPUT, None, waiting=2)).held is not None
    assert finding(Generation.D, seen_by(WitnessKind.INPUT, False)).is_free
    assert finding(Generation.D, seen_by(WitnessKind.PROCESS, True)).held is not None
    assert finding(Generation.D, found=lock(VerdictKind.HELD)).is_free  # a leftover, never a lock


def test_how_long_the_nos_have_to_stand() -> None:
    def quiet(generation: Generation, gateway: GatewayState, access: Access = Access.OPEN) -> int:
        remote = SEMANTICS[ROWS[generation]].remote
        return quiet_ms(table(generation, gateway, access), remote, gateway, 3_000)

    assert quiet(Generation.D, LIVE) == 3_000
    assert quiet(Generation.D, LIVE, Access.NO_TOKEN) == 15_000
    assert quiet(Generation.B, LIVE) == 5_000
    assert quiet(Generation.D, DEAD) == 3_000


def test_a_restarted_gateway_may_resume_what_a_crash_left() -> None:
    remote = SEMANTICS["9.x"].remote
    gateway = Gateway(LIVE, 1, 2, started_at=100_000)
    left = replace(IDLE, status="running", started_at=50_000)
    assert resumed_until(left, remote, gateway) == 160_000
    assert resumed_until(replace(left, status="failed", aborted_last_run=True), remote, gateway) == 160_000
    assert resumed_until(replace(left, started_at=110_000), remote, gateway) is None
    assert resumed_until(IDLE, remote, gateway) is None
    assert resumed_until(left, SEMANTICS["3.28"].remote, gateway) is None
    assert resumed_until(left, remote, replace(gateway, state=DEAD)) is None


FAILED = EndedTurn(100_000, TurnOutcome.FAILED, "r", 90_000, "user", "overloaded", "log")


@pytest.mark.parametrize("row", ["3.28", "5.x", "6.11"])
@pytest.mark.parametrize("outcome", [TurnOutcome.FAILED, TurnOutcome.TIMED_OUT])
def test_a_turn_that_failed_may_be_tried_once_more_without_an_announcement(row: str, outcome: TurnOutcome) -> None:
    """2026.3 to 2026.7 start over 2.5 s after the last model failed; until then nothing shows it."""
    found = may_follow(
        replace(IDLE, turns=(replace(FAILED, outcome=outcome),)), SEMANTICS[row].remote, Gateway(LIVE, 1, 2)
    )
    assert found is not None
    assert found.until == 115_000
    assert "tried once more" in found.why


def test_an_attempt_of_which_only_the_log_tells_may_be_followed_by_another() -> None:
    doubt = Witness(WitnessKind.LOG, None, "its attempt failed, according to the log", at=100_000)
    found = may_follow(replace(IDLE, witnesses=(doubt,)), SEMANTICS["5.x"].remote, Gateway(LIVE, 1, 2))
    assert found is not None
    assert found.until == 115_000


@pytest.mark.parametrize(
    ("row", "gateway", "outcome"),
    [
        ("9.x", LIVE, TurnOutcome.FAILED),
        ("5.x", DEAD, TurnOutcome.FAILED),
        ("5.x", LIVE, TurnOutcome.ANSWERED),
        ("5.x", LIVE, TurnOutcome.STOPPED),
    ],
    ids=["it reports every run", "no gateway", "answered", "stopped"],
)
def test_nothing_follows_by_itself(row: str, gateway: GatewayState, outcome: TurnOutcome) -> None:
    session = replace(IDLE, turns=(replace(FAILED, outcome=outcome),))
    assert may_follow(session, SEMANTICS[row].remote, Gateway(gateway, 1, 2)) is None
