"""What a gateway that lives and gives no answer is called: starting, busy or frozen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clawtop.core.health.judgement import Level, judge
from clawtop.core.health.silence import BUSY_MS, STARTING_MS, UNSEEN_MS, YOUNG_SILENCE_MS, silence_of
from clawtop.core.model import (
    AgentInfo,
    AuthStore,
    ConfigSummary,
    Exchange,
    Gateway,
    GatewayHealth,
    GatewayState,
    Generation,
    ModelRef,
    Problem,
    ProcessCondition,
    ProcessUsage,
    ProviderKeys,
    Serving,
    Session,
    Snapshot,
    TurnOutcome,
)

NOW = 1_800_000_000_000
OLD = NOW - STARTING_MS - 1
YOUNG = NOW - STARTING_MS


def uses(
    cpu: float | None, waiting: float | None = None, condition: ProcessCondition = ProcessCondition.RUNS
) -> ProcessUsage:
    return ProcessUsage(1 << 28, cpu=cpu, waiting=waiting, condition=condition)


RESTS, WORKS, UNSEEN, STARVES = uses(0.0), uses(0.9), uses(None), uses(0.02, 0.2)
PAUSED, DISK = uses(0.0, condition=ProcessCondition.PAUSED), uses(0.0, condition=ProcessCondition.DISK)
SEEN, NEW = True, False
PAUSED_CAUSE = ("gateway-paused", Level.SILENT)
FROZEN_CAUSE = ("gateway-frozen", Level.SILENT)
BUSY_CAUSE = ("gateway-busy", Level.ATTENTION)
STARTING_CAUSE = ("gateway-half-started", Level.ATTENTION)
CLOSED_CAUSE = ("gateway-half-started", Level.SILENT)
# What its port tells, its start, for how long it is silent, what its process does, whether it was seen to answer.
CASES = [
    (Serving.ANSWERS, OLD, None, WORKS, SEEN, None),
    (Serving.ANSWERS, OLD, None, PAUSED, SEEN, PAUSED_CAUSE),
    (Serving.UNKNOWN, OLD, None, RESTS, NEW, None),
    (Serving.SILENT, OLD, 0, RESTS, NEW, FROZEN_CAUSE),
    (Serving.SILENT, OLD, 0, RESTS, SEEN, FROZEN_CAUSE),
    (Serving.SILENT, OLD, 0, None, SEEN, FROZEN_CAUSE),
    (Serving.SILENT, OLD, 0, DISK, SEEN, FROZEN_CAUSE),
    (Serving.SILENT, OLD, 0, PAUSED, SEEN, PAUSED_CAUSE),
    (Serving.SILENT, None, 0, RESTS, SEEN, FROZEN_CAUSE),
    (Serving.SILENT, OLD, UNSEEN_MS - 1, UNSEEN, SEEN, BUSY_CAUSE),
    (Serving.SILENT, OLD, UNSEEN_MS, UNSEEN, SEEN, FROZEN_CAUSE),
    (Serving.SILENT, OLD, 5_000, WORKS, SEEN, BUSY_CAUSE),
    (Serving.SILENT, OLD, 5_000, uses(0.14), SEEN, BUSY_CAUSE),
    (Serving.SILENT, OLD, 5_000, uses(0.03), SEEN, FROZEN_CAUSE),
    (Serving.SILENT, OLD, 5_000, uses(0.03, 0.03), SEEN, FROZEN_CAUSE),
    (Serving.SILENT, OLD, 5_000, STARVES, SEEN, BUSY_CAUSE),
    (Serving.SILENT, OLD, BUSY_MS, WORKS, SEEN, FROZEN_CAUSE),
    (Serving.SILENT, OLD, BUSY_MS, STARVES, SEEN, FROZEN_CAUSE),
    (Serving.SILENT, YOUNG, 0, RESTS, NEW, STARTING_CAUSE),
    (Serving.SILENT, YOUNG, 0, WORKS, NEW, STARTING_CAUSE),
    (Serving.SILENT, YOUNG, BUSY_MS, RESTS, NEW, STARTING_CAUSE),
    (Serving.SILENT, YOUNG, 0, PAUSED, NEW, PAUSED_CAUSE),
    (Serving.SILENT, YOUNG, YOUNG_SILENCE_MS - 1, RESTS, SEEN, BUSY_CAUSE),
    (Serving.SILENT, YOUNG, YOUNG_SILENCE_MS - 1, None, SEEN, BUSY_CAUSE),
    (Serving.SILENT, YOUNG, YOUNG_SILENCE_MS, RESTS, SEEN, FROZEN_CAUSE),
    (Serving.SILENT, YOUNG, YOUNG_SILENCE_MS, WORKS, SEEN, BUSY_CAUSE),
    (Serving.SILENT, YOUNG, 0, PAUSED, SEEN, PAUSED_CAUSE),
    (Serving.REFUSES, YOUNG, None, WORKS, NEW, STARTING_CAUSE),
    (Serving.REFUSES, OLD, None, WORKS, SEEN, CLOSED_CAUSE),
    (Serving.REFUSES, OLD, None, PAUSED, SEEN, PAUSED_CAUSE),
]


def snapshot(gateway: Gateway) -> Snapshot:
    return Snapshot(1, NOW, "reef", "/claw", Generation.B, "2026.5.20", gateway=gateway)


@pytest.mark.parametrize(("serving", "started_at", "silent_ms", "usage", "answered", "wanted"), CASES)
def test_silence_is_judged_by_what_the_process_does(  # noqa: PLR0917
    serving: Serving,
    started_at: int | None,
    silent_ms: int | None,
    usage: ProcessUsage | None,
    answered: bool,
    wanted: tuple[str, Level] | None,
) -> None:
    since = None if silent_ms is None else NOW - silent_ms
    gateway = Gateway(
        GatewayState.LIVE,
        7,
        18789,
        started_at,
        serving=serving,
        silent_since=since,
        has_answered=answered,
        usage=usage,
    )
    causes = [(c.code, c.level) for c in judge(snapshot(gateway), NOW).causes if c.code.startswith("gateway-")]
    assert causes == ([wanted] if wanted is not None else [])


@pytest.mark.parametrize("state", [GatewayState.DEAD, GatewayState.ABSENT, GatewayState.UNKNOWN])
def test_only_a_gateway_that_lives_is_silent(state: GatewayState) -> None:
    gateway = Gateway(state, 7, 18789, OLD, serving=Serving.SILENT, silent_since=NOW, usage=PAUSED)
    assert silence_of(gateway, NOW) is None


def test_a_busy_gateway_says_what_it_takes_and_what_it_does_not_get() -> None:
    gateway = Gateway(GatewayState.LIVE, 7, 18789, OLD, serving=Serving.SILENT, silent_since=NOW, usage=STARVES)
    (cause,) = (c for c in judge(snapshot(gateway), NOW).causes if c.code == "gateway-busy")
    assert cause.text.endswith("uses 2 % of a core, and waits for one 20 % of the time")


@pytest.mark.parametrize(
    ("late", "serving", "wanted"),
    [
        pytest.param(True, Serving.ANSWERS, ["gateway-busy"], id="asked once, it did not tell everything"),
        pytest.param(False, Serving.ANSWERS, [], id="it told everything"),
        pytest.param(True, Serving.SILENT, ["gateway-frozen"], id="it answers nothing at all"),
    ],
)
def test_what_a_gateway_did_not_say_in_time_is_not_taken_for_well(
    late: bool, serving: Serving, wanted: list[str]
) -> None:
    health = GatewayHealth(NOW, live=True, ready=True, late=late)
    since = NOW - 600_000 if serving is Serving.SILENT else None
    gateway = Gateway(GatewayState.LIVE, 7, 18789, OLD, health=health, serving=serving, silent_since=since)
    causes = judge(snapshot(gateway), NOW).causes
    assert [cause.code for cause in causes if cause.code.startswith("gateway-")] == wanted
    assert all(cause.level >= Level.ATTENTION for cause in causes)


def test_what_a_gateway_reports_of_itself_is_one_cause() -> None:
    gateway = Gateway(
        GatewayState.LIVE, 7, 18789, OLD, health=GatewayHealth(NOW, live=True, ready=False, degraded=True)
    )
    told = tuple(Problem(code, "127.0.0.1:18789", "ill") for code in ("gateway-not-ready", "gateway-degraded"))
    world = replace(snapshot(gateway), warnings=told)
    codes = [cause.code for cause in judge(world, NOW).causes]
    assert (codes.count("gateway-degraded"), "problems" in codes) == (1, False)


@pytest.mark.parametrize(("serving", "finding"), [(Serving.SILENT, False), (Serving.ANSWERS, True)])
def test_a_gateway_that_does_not_answer_is_not_a_finding_too(serving: Serving, finding: bool) -> None:
    gateway = Gateway(GatewayState.LIVE, 7, 18789, OLD, serving=serving, silent_since=NOW, usage=WORKS)
    told = Problem("gateway-http", "127.0.0.1:18789", "accepts connections but does not answer")
    codes = [cause.code for cause in judge(replace(snapshot(gateway), warnings=(told,)), NOW).causes]
    assert ("problems" in codes) is finding


def test_a_busy_gateway_is_judged_anew_when_its_minute_is_over() -> None:
    gateway = Gateway(GatewayState.LIVE, 7, 18789, OLD, serving=Serving.SILENT, silent_since=NOW, usage=WORKS)
    health = judge(snapshot(gateway), NOW)
    assert health.changes_at is not None
    assert health.changes_at <= NOW + BUSY_MS + 1


def test_a_young_gateway_is_judged_anew_when_it_is_not_young_any_more() -> None:
    gateway = Gateway(GatewayState.LIVE, 7, 18789, YOUNG + 1_000, serving=Serving.REFUSES, usage=RESTS)
    assert judge(snapshot(gateway), NOW).changes_at == NOW + 1_001


# --- a message that came before the gateway's start ---------------------------------------------------------------

WARN_MS = 120_000


def with_message(asked_ago: int, started_ago: int, serving: Serving) -> tuple[str, Level]:
    asked = Exchange(NOW - asked_ago, 12, "user", TurnOutcome.OPEN)
    row = Session("main", "agent:main:a", "a", None, status="done", active=False, exchanges=(asked,))
    gateway = Gateway(GatewayState.LIVE, 7, 18789, NOW - started_ago, serving=serving)
    agents = (AgentInfo("main", "/a", "/s", models=(ModelRef("fakeai", "m"),), store=AuthStore("main", "/a")),)
    config = ConfigSummary(keys=ProviderKeys({"fakeai": "a key in openclaw.json"}))
    world = Snapshot(
        1, NOW, "h", "/d", Generation.B, "2026.5.20", sessions=(row,), gateway=gateway, agents=agents, config=config
    )
    found = judge(world, NOW)
    return found.badge, found.level


MINUTE = 60_000


@pytest.mark.parametrize(
    ("asked_ago", "started_ago", "serving", "expected"),
    [
        (3 * MINUTE, 20_000, Serving.REFUSES, ("STARTING", Level.ATTENTION)),
        (60 * MINUTE, 20_000, Serving.REFUSES, ("STARTING", Level.SILENT)),
        (60 * MINUTE, 20_000, Serving.SILENT, ("STARTING", Level.SILENT)),
        (60 * MINUTE, 20_000, Serving.ANSWERS, ("SILENT", Level.ATTENTION)),
        (60 * MINUTE, WARN_MS, Serving.ANSWERS, ("SILENT", Level.ATTENTION)),
        (60 * MINUTE, WARN_MS + 1, Serving.ANSWERS, ("SILENT", Level.SILENT)),
        (60 * MINUTE, 10 * MINUTE, Serving.REFUSES, ("SILENT", Level.SILENT)),
        (3 * MINUTE, 10 * MINUTE, Serving.ANSWERS, ("SILENT", Level.SILENT)),
        (10_000, 20_000, Serving.REFUSES, ("STARTING", Level.ATTENTION)),
    ],
)
def test_a_gateway_that_starts_is_not_silent_for_what_came_before_it(
    asked_ago: int, started_ago: int, serving: Serving, expected: tuple[str, Level]
) -> None:
    assert with_message(asked_ago, started_ago, serving) == expected
