"""Attention and recovery beyond the vectors, and the rule that nothing starts onto a held session."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawtop.core.generations import SEMANTICS
from clawtop.core.model import Attention, GatewayState, PromptHolder
from clawtop.core.session.attention import (
    AttentionKind,
    AttentionReport,
    SessionActivity,
    WorkKind,
    classify_attention,
    is_terminal_progress,
    needs_attention,
    next_warning_age,
    thresholds,
)
from clawtop.core.session.recovery import (
    AbortRun,
    RecoveryAction,
    RecoveryMove,
    RecoveryOutcome,
    StuckSession,
    openclaw_recovery,
    plan_recovery,
)
from clawtop.view.recovery_lines import openclaw_words

NOW = 1_750_000_000_000
HOLDER = PromptHolder(
    session_file="/s/a.jsonl",
    session_key="agent:main:main",
    agent="main",
    lane="main",
    run_id="r1",
    profile=None,
    phase="streaming",
    since=NOW - 600_000,
    pid=17,
    source="clawtop",
)

RULES = SEMANTICS["5.x"].attention
STUCK = classify_attention(SessionActivity(), 2, 200_000, RULES)
STALLED = classify_attention(
    SessionActivity(WorkKind.EMBEDDED_RUN, progress_age_ms=400_000, has_run=True), 2, 400_000, RULES
)
BUSY = classify_attention(SessionActivity(WorkKind.EMBEDDED_RUN, progress_age_ms=10, has_run=True), 2, 400_000, RULES)


def plan(report: AttentionReport, holder: PromptHolder | None, *, waited: int = 0) -> RecoveryMove:
    return plan_recovery(report, holder, NOW + waited, first_seen=NOW, max_wait_ms=30_000).plan


def test_what_nobody_holds_is_released() -> None:
    assert plan(STUCK, None) is RecoveryMove.RELEASE


def test_a_held_session_is_waited_for_and_then_left() -> None:
    waiting = plan_recovery(STUCK, HOLDER, NOW + 29_999, first_seen=NOW, max_wait_ms=30_000)
    assert (waiting.plan, waiting.until) == (RecoveryMove.WAIT, NOW + 30_000)
    assert plan(STUCK, HOLDER, waited=30_000) is RecoveryMove.FORK
    assert plan(STALLED, HOLDER, waited=30_000) is RecoveryMove.FORK


def test_a_holder_that_makes_progress_is_left_alone_however_long() -> None:
    assert plan(BUSY, HOLDER, waited=86_400_000) is RecoveryMove.NOTHING


def test_work_without_a_holder_is_not_released_under_its_feet() -> None:
    assert plan(STALLED, None) is RecoveryMove.NOTHING


activities = st.builds(
    SessionActivity,
    work=st.none() | st.sampled_from(WorkKind),
    progress=st.none() | st.sampled_from(["run:completed", "stream:chunk", "x response.completed"]),
    progress_age_ms=st.none() | st.integers(0, 1_000_000),
    tool_age_ms=st.none() | st.integers(0, 1_000_000),
    has_run=st.booleans(),
)


@given(activities, st.integers(0, 5), st.integers(0, 1_000_000), st.integers(-10, 10**6), st.integers(0, 10**6))
def test_nothing_is_ever_started_onto_a_held_session(
    activity: SessionActivity, depth: int, age: int, waited: int, max_wait: int
) -> None:
    report = classify_attention(activity, depth, age, RULES)
    found = plan_recovery(report, HOLDER, NOW + waited, first_seen=NOW, max_wait_ms=max_wait)
    assert found.plan is not RecoveryMove.RELEASE
    if found.plan is RecoveryMove.WAIT:
        assert found.until is not None
        assert found.until <= NOW + max_wait


@given(activities, st.integers(0, 5), st.integers(0, 1_000_000))
def test_only_stalled_work_is_aborted_and_only_idle_sessions_recovered(
    activity: SessionActivity, depth: int, age: int
) -> None:
    report = classify_attention(activity, depth, age, RULES)
    assert report.recoverable == (report.kind is AttentionKind.STUCK) == (activity.work is None)
    assert not report.abortable or report.kind is AttentionKind.STALLED


@pytest.mark.parametrize(
    ("progress", "terminal"),
    [
        (None, False),
        ("", False),
        ("run:completed", True),
        ("embedded_run:ended", True),
        ("run:completed:later", False),
        ("codex response.completed", True),
        ("rawResponseItem/completed", True),
        ("raw_response_item.completed", True),
        ("response.output_item.done", True),
        ("stream:chunk", False),
    ],
)
def test_terminal_progress(progress: str | None, terminal: bool) -> None:
    assert is_terminal_progress(progress) is terminal


@pytest.mark.parametrize(
    "nonsense",
    [True, "60000", float("nan"), float("inf"), None, [1], 999.9, -1],
)
def test_nonsense_in_the_config_is_the_default(nonsense: object) -> None:
    assert thresholds({"stuckSessionWarnMs": nonsense}) == Attention(120_000, 360_000)


def test_thresholds_are_whole_milliseconds() -> None:
    assert thresholds({"stuckSessionWarnMs": 1_000.9, "stuckSessionAbortMs": 5_000.9}) == Attention(1_000, 5_000)
    assert thresholds({"stuckSessionAbortMs": 0.5}) == Attention()


def test_warnings_come_ever_more_rarely() -> None:
    ages, last = [], None
    for _ in range(5):
        last = next_warning_age(last, 120_000)
        ages.append(last)
    assert ages == [120_000, 240_000, 480_000, 960_000, 1_920_000]


def test_the_watcher_looks_at_long_work_and_at_idle_sessions_with_a_silent_run() -> None:
    quiet, silent = SessionActivity(), SessionActivity(has_run=True, progress_age_ms=120_001)

    def looks(processing: bool, age: int, depth: int, activity: SessionActivity) -> bool:
        return needs_attention(processing=processing, age_ms=age, queue_depth=depth, activity=activity, warn_ms=120_000)

    assert not looks(True, 120_000, 0, quiet)
    assert looks(True, 120_001, 0, quiet)
    assert looks(False, 0, 1, silent)
    assert not looks(False, 0, 0, silent)
    assert not looks(False, 10**9, 1, quiet)


@pytest.mark.parametrize(
    ("stuck", "action", "reason"),
    [
        (StuckSession(None, " "), RecoveryAction.OBSERVE_ONLY, "missing_session_ref"),
        (StuckSession("s", "k", in_flight=True), RecoveryAction.OBSERVE_ONLY, "already_in_flight"),
        (StuckSession("s", "k", state_changed=True), RecoveryAction.OBSERVE_ONLY, "stale_session_state"),
        (StuckSession("s", "k", reply_session_id="s"), RecoveryAction.KEEP_LANE, "active_reply_work"),
    ],
)
def test_openclaw_leaves_these_alone(stuck: StuckSession, action: RecoveryAction, reason: str) -> None:
    found = openclaw_recovery(stuck, RULES)
    assert isinstance(found, RecoveryOutcome)
    assert (found.action, found.reason) == (action, reason)


def test_openclaw_aborts_reply_work_when_it_may() -> None:
    assert openclaw_recovery(StuckSession("s", "k", reply_session_id="s2", allow_abort=True), RULES) == AbortRun("s2")


def test_the_lane_is_that_of_the_key_else_of_the_id() -> None:
    assert StuckSession("s", " ").lane == "session:s"
    assert StuckSession("s", "agent:a:main").lane == "session:agent:a:main"


def test_a_run_that_waits_to_ask_again_is_not_stalled_where_its_gateway_sees_that() -> None:
    waits = SessionActivity(WorkKind.EMBEDDED_RUN, progress_age_ms=400_000, has_run=True, retry_left_ms=8_000)
    patient = classify_attention(waits, 2, 400_000, SEMANTICS["9.x"].attention)
    assert (patient.reason, patient.abortable) == ("provider_retry_wait", False)
    assert classify_attention(waits, 2, 400_000, RULES).abortable


@pytest.mark.parametrize(
    ("name", "would"),
    [
        ("3.28", "OpenClaw itself only logs this"),
        ("5.x", "OpenClaw itself aborts this run: it checks every 30 s"),
        ("9.x", "OpenClaw itself aborts this run: it checks every 30 s"),
    ],
)
def test_what_openclaw_itself_does_is_said(name: str, would: str) -> None:
    stuck = StuckSession("s", "k", run_session_id="s", allow_abort=True)
    assert openclaw_words(openclaw_recovery(stuck, SEMANTICS[name].attention)) == would
    done_by = openclaw_recovery(stuck, SEMANTICS[name].attention)
    assert "no gateway runs" in openclaw_words(done_by, GatewayState.DEAD)


@pytest.mark.parametrize(
    ("version", "left_ms", "abortable"),
    [
        ("6.11", 60_000, True),
        ("8.x", 60_000, False),
        ("9.x", 60_000, False),
        ("6.11", -1, True),
        ("8.x", -1, True),
        ("9.x", -1, True),
    ],
)
def test_from_2026_8_on_a_tool_call_has_until_the_end_that_it_was_given(
    version: str, left_ms: int, abortable: bool
) -> None:
    long = 1_000_000
    tool = SessionActivity(
        WorkKind.TOOL_CALL, progress_age_ms=long, tool_age_ms=long, has_run=True, tool_left_ms=left_ms
    )
    report = classify_attention(tool, 0, long, SEMANTICS[version].attention)
    assert (report.classification, report.abortable) == ("blocked_tool_call", abortable)


@pytest.mark.parametrize(
    ("version", "reason"), [("8.x", "active_work_without_progress"), ("9.x", "provider_retry_wait")]
)
def test_a_wait_for_the_provider_counts_from_2026_9_on(version: str, reason: str) -> None:
    waits = SessionActivity(WorkKind.EMBEDDED_RUN, progress_age_ms=400_000, has_run=True, retry_left_ms=30_000)
    report = classify_attention(waits, 0, 400_000, SEMANTICS[version].attention)
    assert (report.reason, report.abortable) == (reason, version == "8.x")
