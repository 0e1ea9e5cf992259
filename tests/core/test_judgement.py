"""When a judgement may differ though nothing happens: as rarely as that can be said."""

from __future__ import annotations

from dataclasses import replace

from clawtop.core.health.cause import JUST_NOW_MS, RECENT_MS, Level
from clawtop.core.health.judgement import COUNT_OUT_MS, judge
from clawtop.core.health.turns import recent_turns
from clawtop.core.model import (
    GATEWAY_LOG,
    EndedTurn,
    Event,
    EventKind,
    Exchange,
    Gateway,
    GatewayState,
    Lock,
    LockKind,
    ModelRef,
    Problem,
    Serving,
    Session,
    Snapshot,
    TurnOutcome,
    Verdict,
    VerdictKind,
)
from clawtop.core.session.exchanges import EMPTY_ANSWER
from tests.support.worlds import CALM, LOCKS, NOW, SECOND


def world(*ended: tuple[int, str]) -> Snapshot:
    """Sessions whose last runs ended so long ago (ms), and how."""
    sessions = [
        Session("main", f"agent:main:{n}", f"s{n}", None, how, active=False, started_at=NOW - ago, ended_at=NOW - ago)
        for n, (ago, how) in enumerate(ended)
    ]
    return replace(CALM, sessions=tuple(sessions))


def test_turns_leave_the_last_ten_minutes_together() -> None:
    busy = world(*((n * SECOND, "done") for n in range(600)))
    assert judge(busy, NOW).changes_at == NOW + COUNT_OUT_MS + 1
    later = judge(busy, NOW + COUNT_OUT_MS + 1)
    assert later.recent.answered == judge(busy, NOW).recent.answered - COUNT_OUT_MS // SECOND


def test_the_last_turn_leaves_in_its_time() -> None:
    assert judge(world((60 * SECOND, "done")), NOW).changes_at == NOW - 60 * SECOND + RECENT_MS + 1
    assert judge(world((RECENT_MS + SECOND, "done")), NOW).changes_at is None


def test_a_failure_is_just_now_to_the_moment() -> None:
    busy = world((2 * SECOND, "failed"), *((n * SECOND, "done") for n in range(600)))
    assert judge(busy, NOW).changes_at == NOW + COUNT_OUT_MS + 1
    alone = world((JUST_NOW_MS - 3 * SECOND, "failed"), *((n * SECOND, "done") for n in range(600)))
    assert judge(alone, NOW).changes_at == NOW + 3 * SECOND + 1


def test_nothing_is_told_of_a_configuration_that_cannot_be_read() -> None:
    config = replace(CALM.config, path="/claw/openclaw.json", unread=True)
    found = (Problem("bad-json", config.path, "is half written"), Problem("other", "/claw/x", "is odd"))
    health = judge(replace(CALM, config=config, warnings=found), NOW)
    assert [(one.profile, one.on_disk, bool(one.unknown)) for one in health.next] == [(None, None, True)]
    causes = {cause.code: cause for cause in health.causes}
    assert causes["config-unread"].evidence == ("is half written",)
    assert causes["problems"].text.startswith("1 finding: /claw/x")
    assert all(one.unknown is None for one in judge(CALM, NOW).next)


def test_a_run_without_words_failed_whoever_else_calls_it_stopped() -> None:
    """As 2026.9.6 records it: audited as cancelled and stored as killed, its user told that there is no response."""
    turns = (
        EndedTurn(NOW - 7_381, TurnOutcome.STOPPED, "r", NOW - 10_151, None, "run_cancelled", "audit"),
        EndedTurn(NOW - 7_394, TurnOutcome.FAILED, "r", None, None, "format", "log"),
        EndedTurn(NOW - 7_122, TurnOutcome.FAILED, None, None, None, "not taken in", "log"),
    )
    asked = Exchange(NOW - 11_263, 11, "user", TurnOutcome.FAILED, NOW - 7_599, EMPTY_ANSWER)
    session = Session("main", "agent:main:x", "s", None, "killed", active=False, started_at=NOW - 7_756)
    told = replace(session, ended_at=NOW - 7_381, aborted_last_run=True, turns=turns, exchanges=(asked,))
    (turn,) = recent_turns(replace(CALM, sessions=(told,)), NOW, RECENT_MS, RECENT_MS).turns
    assert (turn.turn.outcome, turn.turn.reason) == (TurnOutcome.FAILED, EMPTY_ANSWER)


def test_what_is_next_is_unknown_while_the_gateway_has_refused_the_configuration() -> None:
    refused = Event(NOW - SECOND, EventKind.GATEWAY, GATEWAY_LOG, "no", data={"step": "config-refused"})
    live = Gateway(GatewayState.LIVE, started_at=NOW - 60 * SECOND)
    told = replace(CALM, gateway=live, events=(refused,))
    assert [(one.profile, bool(one.unknown)) for one in judge(told, NOW).next] == [(None, True)]
    taken = replace(refused, at=NOW, data={"step": "config-taken"})
    assert [bool(one.unknown) for one in judge(replace(told, events=(refused, taken)), NOW).next] == [False]
    agents = tuple(replace(one, models=(ModelRef("nosuch", "model"),)) for one in told.agents)
    assert "models-out" not in {cause.code for cause in judge(replace(told, agents=agents), NOW).causes}
    assert "models-out" in {cause.code for cause in judge(replace(told, agents=agents, events=()), NOW).causes}
    mended = replace(told, config=replace(CALM.config, changed_at=NOW))
    at = judge(mended, NOW).changes_at
    assert at is not None
    assert [bool(judge(mended, moment).next[0].unknown) for moment in (at - 1, at)] == [True, False]


def test_whether_a_gateway_should_run_is_unknown_without_a_configuration() -> None:
    absent = replace(CALM, gateway=Gateway(GatewayState.ABSENT))
    unread = replace(absent, config=replace(CALM.config, unread=True, gateway_wanted=False))
    assert "gateway-unknown" in {cause.code for cause in judge(unread, NOW).causes}
    idle = replace(absent, config=replace(CALM.config, gateway_wanted=False))
    assert "gateway-unknown" not in {cause.code for cause in judge(idle, NOW).causes}


def test_the_worst_of_several_causes_decides() -> None:
    frozen = Gateway(GatewayState.LIVE, serving=Serving.SILENT, started_at=NOW - 3_600_000, silent_since=NOW - 600_000)
    health = judge(replace(world((2 * SECOND, "failed")), gateway=frozen), NOW)
    assert {cause.level for cause in health.causes} == {Level.ATTENTION, Level.SILENT}
    assert health.level is Level.SILENT
    assert health.causes[0].code == "gateway-frozen"


def test_a_gateway_lock_of_a_dead_process_is_told_unless_the_gateway_itself_is_dead() -> None:
    (door,) = (lock for lock in LOCKS if lock.file.kind is LockKind.GATEWAY)
    left = replace(door, verdict=Verdict(VerdictKind.STALE, ("pid-gone",)))

    def told(gateway: Gateway, *locks: Lock) -> list[str]:
        health = judge(replace(CALM, gateway=gateway, locks=locks), NOW)
        return [cause.text for cause in health.causes if cause.code == "stale-lock"]

    assert not told(CALM.gateway, door)
    (text,) = told(CALM.gateway, door, left)
    assert text.startswith("1 gateway lock of a dead process")
    assert told(Gateway(GatewayState.ABSENT), left)
    assert not told(Gateway(GatewayState.DEAD, left.pid), left), "that is said in its own words"


def test_two_messages_that_fail_within_seconds_are_two_turns() -> None:
    """Whatever their distance: else an outage would be of one turn or of two by when each attempt ended."""

    def failed(ended: int) -> Exchange:
        return Exchange(NOW - 40 * SECOND, 9, "user", TurnOutcome.FAILED, ended, "429")

    for apart in (5 * SECOND, 19 * SECOND, 21 * SECOND):
        row = Session("main", "agent:main:x", "s", None, "failed", active=False)
        told = replace(row, exchanges=(failed(NOW - SECOND - apart), failed(NOW - SECOND)))
        causes = judge(replace(CALM, sessions=(told,)), NOW).causes
        assert [(cause.code, cause.level) for cause in causes][:1] == [("turns-failing", Level.SILENT)], apart


def test_a_message_that_is_tried_again_goes_on_having_failed() -> None:
    asked = Exchange(NOW - 40 * SECOND, 9, "user", TurnOutcome.OPEN, failed_at=NOW - SECOND, failed_with="429")
    row = Session("main", "agent:main:x", "s", None, "running", active=True, exchanges=(asked,))
    (turn,) = recent_turns(replace(CALM, sessions=(row,)), NOW, RECENT_MS, RECENT_MS).turns
    assert (turn.turn.at, turn.turn.outcome, turn.turn.reason) == (NOW - SECOND, TurnOutcome.FAILED, "429")
