"""The gateway's log: followed across rotation, bounded, and patient with whatever stands in it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawtop.core.incident.lane_stats import contention, lanes_of
from clawtop.core.incident.timeline import is_background
from clawtop.core.model import (
    AccountRetry,
    AgentInfo,
    AuthStore,
    Event,
    EventKind,
    Generation,
    Problem,
    Snapshot,
    delay,
)
from clawtop.core.session.log_runs import LogRuns
from clawtop.store import incident
from clawtop.store.gateway import log as gateway_log
from clawtop.store.gateway.log import LINE_BYTES, LogTail
from clawtop.store.gateway.log_lines import BadLineError, Names, Ours, hashed_profile, parse_line
from tests.support.samples import ROOT

START = 1_795_214_000_000
NAMES = Names({hashed_profile("fakeai:one"): "fakeai:one"}, {"s-1": "agent:main:main"})


def line(text: str, *, subsystem: str = "diagnostic", time: str = "2026-11-20T22:34:27.000+00:00", **more: Any) -> str:
    """A line of the file as 2026.5.20 writes it."""
    return json.dumps({"0": json.dumps({"subsystem": subsystem}), "1": text, "time": time, **more})


def done(number: int) -> str:
    return line(f"lane task done: lane=main durationMs={number} active=0 queued=0")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "openclaw-2026-11-20.log"


def durations(tail: LogTail) -> list[int | None]:
    return [event.duration_ms for event in tail.events]


# --- following ---------------------------------------------------------------------------------------------------


def test_only_what_is_new_is_read(log: Path) -> None:
    tail = LogTail()
    log.write_text(done(1) + "\n")
    assert len(tail.read(log, NAMES)) == 1
    assert tail.read(log, NAMES) == ()
    with log.open("a") as file:
        file.write(done(2) + "\n" + done(3)[:20])
    assert [event.duration_ms for event in tail.read(log, NAMES)] == [2]
    with log.open("a") as file:
        file.write(done(3)[20:] + "\n")
    assert [event.duration_ms for event in tail.read(log, NAMES)] == [3]
    assert durations(tail) == [1, 2, 3]
    assert tail.problem is None


def test_rotation_loses_nothing_of_either_file(log: Path) -> None:
    tail = LogTail()
    log.write_text(done(1) + "\n")
    tail.read(log, NAMES)
    with log.open("a") as file:
        file.write(done(2) + "\n")
    log.rename(log.with_suffix(".log.1"))
    log.write_text(done(3) + "\n")
    assert [event.duration_ms for event in tail.read(log, NAMES)] == [2, 3]


def test_the_next_days_file_follows_the_last_one(tmp_path: Path) -> None:
    today, tomorrow = tmp_path / "openclaw-2026-11-20.log", tmp_path / "openclaw-2026-11-21.log"
    tail = LogTail()
    today.write_text(done(1) + "\n")
    tail.read(today, NAMES)
    with today.open("a") as file:
        file.write(done(2) + "\n")
    tomorrow.write_text(done(3) + "\n")
    tail.read(tomorrow, NAMES)
    assert durations(tail) == [1, 2, 3]


def test_between_rename_and_creation_the_tail_waits(log: Path) -> None:
    tail = LogTail()
    log.write_text(done(1) + "\n")
    tail.read(log, NAMES)
    log.rename(log.with_suffix(".old"))
    assert tail.read(log, NAMES) == ()
    assert tail.problem is not None
    assert tail.problem.code == "log-missing"
    log.write_text(done(2) + "\n")
    assert [event.duration_ms for event in tail.read(log, NAMES)] == [2]
    assert tail.problem is None


def test_a_truncated_file_is_read_from_its_new_beginning(log: Path) -> None:
    tail = LogTail()
    log.write_text((done(1) + "\n") * 3)
    tail.read(log, NAMES)
    log.write_text(done(2) + "\n")
    assert [event.duration_ms for event in tail.read(log, NAMES)] == [2]


def test_half_a_line_before_a_rotation_is_not_glued_to_the_new_file(log: Path) -> None:
    tail = LogTail()
    log.write_text(done(1) + "\n" + done(2)[:30])
    tail.read(log, NAMES)
    log.unlink()
    log.write_text(done(3) + "\n")
    tail.read(log, NAMES)
    assert durations(tail) == [1, 3]
    assert tail.bad_lines == 0


# --- bounds ------------------------------------------------------------------------------------------------------


def test_of_a_long_log_only_the_end_is_read(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_log, "FIRST_BYTES", 4_000)
    log.write_text("".join(done(number) + "\n" for number in range(1_000)))
    tail = LogTail()
    tail.read(log, NAMES)
    assert durations(tail)[-1] == 999
    assert len(tail.events) < 40
    assert tail.bad_lines == 0, "the half line at the beginning of the window is nobody's fault"


def test_a_burst_between_two_reads_is_bounded_too(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_log, "NEXT_BYTES", 4_000)
    tail = LogTail()
    log.write_text(done(1) + "\n")
    tail.read(log, NAMES)
    with log.open("a") as file:
        file.writelines(done(number) + "\n" for number in range(2, 1_000))
    fresh = tail.read(log, NAMES)
    assert fresh[-1].duration_ms == 999
    assert len(fresh) < 40
    assert tail.bad_lines == 0


def test_a_line_of_a_megabyte_is_counted_and_left(log: Path) -> None:
    tail = LogTail()
    log.write_text(done(1) + "\n")
    tail.read(log, NAMES)
    with log.open("a") as file:
        file.write(line("x" * 1_000_000) + "\n" + done(2) + "\n")
    tail.read(log, NAMES)
    assert durations(tail) == [1, 2]
    assert tail.skipped_lines == 1
    assert tail.problem is not None
    assert tail.problem.text == "1 line is longer than 64 KiB; left out"


def test_a_line_that_never_ends_takes_no_memory(log: Path) -> None:
    tail = LogTail()
    log.write_text(done(1) + "\n")
    tail.read(log, NAMES)
    for _ in range(5):
        with log.open("a") as file:
            file.write("y" * LINE_BYTES)
        tail.read(log, NAMES)
        assert len(tail._partial) <= LINE_BYTES
    with log.open("a") as file:
        file.write("\n" + done(2) + "\n")
    tail.read(log, NAMES)
    assert durations(tail) == [1, 2]


# --- what is no log ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        "not a log line",
        "{broken",
        "[1, 2]",
        '{"0": "x"}',
        line("lane task done: lane=main", time="yesterday"),
        line("lane task done: lane=main", time="2026-11-20T22:34:27"),
        '{"time": 7, "1": "lane task done: lane=main"}',
        "[" * 100_000,
        '{"a":' * 20_000,
        "\x00\x01\x02",
        "2026-11-20T99:34:27Z impossible",
    ],
    ids=[
        "prose",
        "broken",
        "list",
        "no-time",
        "words-as-time",
        "no-zone",
        "number-as-time",
        "deep",
        "deeper",
        "nul",
        "hour",
    ],
)
def test_what_is_no_line_is_counted_and_named_without_its_content(log: Path, bad: str) -> None:
    log.write_text(done(1) + "\n" + bad[:60_000] + "\n" + done(2) + "\n")
    tail = LogTail()
    tail.read(log, NAMES)
    assert durations(tail) == [1, 2]
    assert tail.bad_lines == 1
    assert tail.problem is not None
    assert tail.problem.code == "log-odd-lines"
    assert bad[:12] not in tail.problem.text


def test_bytes_that_are_no_utf8_and_escapes_reach_nobody(log: Path) -> None:
    hostile = line('lane task error: lane=main durationMs=3 error="\x1b]0;pwned\x07 \u202e sk-abcdefghijkl"').encode()
    log.write_bytes(b"\xff\xfe\n" + hostile + b"\n")
    tail = LogTail()
    tail.read(log, NAMES)
    (event,) = tail.events
    assert event.text.isprintable()
    assert "\x1b" not in event.text
    assert "sk-abc" not in event.text


@pytest.mark.parametrize("what", ["directory", "fifo", "unreadable"])
def test_what_cannot_be_read_is_named_and_does_not_hang(log: Path, what: str) -> None:
    if what == "directory":
        log.mkdir()
    elif what == "fifo":
        os.mkfifo(log)
    else:
        log.symlink_to(log)
    tail = LogTail()
    assert tail.read(log, NAMES) == ()
    assert tail.problem is not None
    assert tail.problem.code == "log-unreadable"


TWO_WRITERS = replace(NAMES, ours=Ours(frozenset({"main"}), frozenset({"fakeai:one"}), "/home/a/.openclaw"))


@pytest.mark.parametrize(
    ("text", "is_ours"),
    [
        ("lane task done: lane=main durationMs=5 active=0 queued=0", True),
        ("lane task done: lane=session:agent:main:main durationMs=5 active=0 queued=0", True),
        ("lane task done: lane=session:agent:work:main durationMs=5 active=0 queued=0", False),
        ("lane task error: lane=session:agent:work:cron:j:run:1 durationMs=5 error=x", False),
        ("lane task done: lane=session:global durationMs=5 active=0 queued=0", True),
    ],
)
def test_of_a_file_with_two_writers_what_is_certainly_anothers_is_left_out(log: Path, text: str, is_ours: bool) -> None:
    log.write_text(line(text) + "\n")
    assert len(LogTail().read(log, NAMES)) == 1
    assert len(LogTail().read(log, TWO_WRITERS)) == is_ours


@pytest.mark.parametrize(
    ("more", "anothers"),
    [
        ({}, False),
        ({"profile": "fakeai:one"}, False),
        ({"profile": "sha256:0123456789ab"}, True),
        ({"session_key": "agent:main:telegram:1"}, False),
        ({"session_key": "agent:work:main"}, True),
        ({"session_key": "unknown"}, False),
        ({"session_file": "/home/a/.openclaw/agents/main/sessions/s.jsonl"}, False),
        ({"session_file": "/home/a/.openclaw-b/agents/main/sessions/s.jsonl"}, True),
    ],
)
def test_an_agent_a_profile_or_a_directory_of_anothers_is_certain(more: dict[str, Any], anothers: bool) -> None:
    event = Event(START, EventKind.LANE, "gateway-log", "x", **more)
    assert TWO_WRITERS.ours is not None
    assert TWO_WRITERS.ours.is_anothers(event) is anothers


def test_a_profile_is_nobodys_for_certain_while_a_store_is_unread() -> None:
    event = Event(START, EventKind.LANE, "gateway-log", "x", profile="fakeai:two")
    agent = AgentInfo("main", "/a", "/s", store=AuthStore("main", "/a"))
    unread = replace(agent, store=AuthStore("main", "/a", problem=Problem("bad-json", "/a", "is not JSON")))
    for agents, anothers in (((agent,), True), ((agent, unread), False), ((agent, replace(agent, store=None)), False)):
        snapshot = Snapshot(1, START, "h", "/home/a/.openclaw", Generation.B, "2026.5.20", agents=agents)
        assert incident._ours(snapshot).is_anothers(event) is anothers


def test_no_log_is_no_problem() -> None:
    tail = LogTail()
    assert tail.read(None, NAMES) == ()
    assert tail.problem is None


@given(st.text(max_size=200))
def test_no_line_whatever_breaks_the_reader(text: str) -> None:
    try:
        event = parse_line(text, NAMES)
    except BadLineError:
        return
    assert event is None or event.text.isprintable()


@given(
    st.dictionaries(
        st.sampled_from(["0", "1", "2", "time", "_meta", "message"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=20),
            lambda s: st.lists(s, max_size=3) | st.dictionaries(st.text(max_size=9), s, max_size=3),
            max_leaves=6,
        ),
    )
)
def test_no_object_whatever_breaks_the_reader(record: dict[str, Any]) -> None:
    record["time"] = "2026-11-20T22:34:27Z"
    event = parse_line(json.dumps(record), NAMES)
    assert event is None or event.text.isprintable()


# --- what lines tell ---------------------------------------------------------------------------------------------


def test_zones_are_told_apart() -> None:
    text = "lane task done: lane=main durationMs=1 active=0 queued=0"
    stamps = ("2026-11-20T22:34:27.000Z", "2026-11-21T04:04:27.000+05:30", "2026-11-20T12:34:27.000-10:00")
    moments = {event.at for stamp in stamps if (event := parse_line(line(text, time=stamp), NAMES)) is not None}
    assert len(moments) == 1


def test_profiles_are_matched_by_their_hash() -> None:
    facts = {
        "event": "auth_profile_failure_state_updated",
        "runId": "r",
        "profileId": "sha256:714a5393c4fb",
        "provider": "fakeai",
        "reason": "rate_limit",
        "windowType": "cooldown",
        "cooldownUntil": 1_795_214_097_000,
    }
    known = Names({hashed_profile("fakeai:three"): "fakeai:three"})
    text = json.dumps(
        {"0": "{}", "1": facts, "2": "auth profile failure state updated", "time": "2026-11-20T22:34:27Z"}
    )
    event = parse_line(text, known)
    assert event is not None
    assert event.profile == "fakeai:three"
    assert (event.kind, event.reason) == (EventKind.MARK, "rate_limit")
    stranger = parse_line(text, NAMES)
    assert stranger is not None
    assert stranger.profile == "sha256:714a5393c4fb"


def test_a_run_names_its_session_from_then_on(log: Path) -> None:
    log.write_text(
        line("embedded run start: runId=r-9 sessionId=s-1 provider=p model=m")
        + "\n"
        + json.dumps(
            {
                "1": {"event": "embedded_run_agent_end", "runId": "r-9", "isError": True, "error": "429"},
                "time": "2026-11-20T22:34:28Z",
            }
        )
        + "\n"
    )
    tail = LogTail()
    assert [event.session_key for event in tail.read(log, NAMES)] == ["agent:main:main", "agent:main:main"]


TAKEOVER = "session file changed while embedded prompt lock was released: /s/s-1.jsonl"
LOCKED = "session file locked (timeout 60000ms): pid=7 /s/s-1.jsonl.lock"


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        (
            f'lane task error: lane=session:agent:main:main durationMs=9 error="Error: {TAKEOVER}"',
            EventKind.TAKEOVER,
            TAKEOVER,
        ),
        (
            f'lane task error: lane=session:agent:main:main durationMs=9 error="Error: {LOCKED}"',
            EventKind.CONTENDED,
            "session file locked",
        ),
        (
            'lane task error: lane=session:agent:main:main durationMs=9 error="E: x"',
            EventKind.FAILURE,
            "turn failed: E: x",
        ),
        ('lane task error: lane=main durationMs=9 error="E: x"', EventKind.LANE, "turn failed: E: x"),
        (
            "lane wait exceeded: lane=main waitedMs=61000 queueAhead=2 activeNow=4",
            EventKind.WAIT,
            "waited for lane main, 2 ahead",
        ),
        ("embedded run done: runId=r sessionId=s-1 durationMs=2950 aborted=false", EventKind.REPLY, "replied"),
        ("embedded run done: runId=r sessionId=s-1 durationMs=2950 aborted=true", EventKind.REPLY, "aborted"),
        ("embedded run start: runId=r sessionId=s-1 provider=p model=m", EventKind.ATTEMPT, "asks p/m"),
        (
            "stuck session: sessionId=s-1 state=processing age=149s queueDepth=2",
            EventKind.STUCK,
            "processing, for 149s, queued 2",
        ),
        (
            "long-running session: sessionId=s-1 state=processing age=20s queueDepth=0 recovery=none",
            EventKind.STUCK,
            "for 20s",
        ),
        (
            "removed stale session lock: /s/a b.jsonl.lock (dead-pid)",
            EventKind.LOCK,
            "stale session lock a b.jsonl.lock (dead-pid)",
        ),
        (
            "transient same-model retry 3/9 for p/m reason=rate_limit: delayMs=685",
            EventKind.ATTEMPT,
            "retries the same account in 685 ms, 3 of 9",
        ),
        (
            "rate-limit same-model retry 2/3 for p/m: delayMs=20000",
            EventKind.ATTEMPT,
            "rate_limit: retries the same account in 20 s, 2 of 3",
        ),
        ("gateway ready", EventKind.GATEWAY, "gateway ready"),
        (
            "⇄ res ✗ agent errorCode=UNAVAILABLE errorMessage=All models failed (2)",
            EventKind.FAILURE,
            "All models failed",
        ),
    ],
)
def test_lines_in_words(text: str, kind: EventKind, said: str) -> None:
    event = parse_line(line(text), NAMES)
    assert event is not None
    assert event.kind is kind
    assert said in event.text


def test_a_takeover_is_counted_once_a_turn_and_ends_its_lanes_tasks() -> None:
    lines = [
        line("lane dequeue: lane=session:agent:main:main waitMs=1 queueSize=0"),
        line("lane dequeue: lane=main waitMs=1 queueSize=0"),
        line(f'lane task error: lane=main durationMs=9 error="Error: {TAKEOVER}"'),
        line(f'lane task error: lane=session:agent:main:main durationMs=9 error="Error: {TAKEOVER}"'),
        line(f"⇄ res ✗ agent errorCode=UNAVAILABLE errorMessage={TAKEOVER}"),
    ]
    events = [event for text in lines if (event := parse_line(text, NAMES)) is not None]
    counted = contention(events)
    assert counted.takeovers == {"main": 1}
    assert [(worst.session, worst.takeovers) for worst in counted.worst] == [("agent:main:main", 1)]
    assert {(lane.lane, lane.active) for lane in lanes_of(events, {}, "x")} == {
        ("main", 0),
        ("session:agent:main:main", 0),
    }


def test_what_says_nothing_about_failover_sessions_or_lanes_is_left_out() -> None:
    assert parse_line(line("Browser control listening on http://127.0.0.1:1"), NAMES) is None
    assert parse_line(line("something a later version says"), NAMES) is None


def test_console_lines_are_read_too() -> None:
    event = parse_line("2026-11-20T22:34:27.000+00:00 [diagnostic] lane dequeue: lane=main waitMs=7 queueSize=1", NAMES)
    assert event is not None
    assert (event.kind, event.lane, event.duration_ms, event.data["step"]) == (EventKind.LANE, "main", 7, "dequeue")


@pytest.mark.parametrize("version", ["2026.3.28", "2026.5.20", "2026.6.11", "2026.9.6"])
def test_real_logs_are_understood_line_by_line(version: str) -> None:
    tail = LogTail()
    events = tail.read(ROOT / version / "gateway.log.jsonl", NAMES)
    assert (tail.bad_lines, tail.skipped_lines) == (0, 0)
    kinds = {event.kind for event in events}
    assert {EventKind.FAILURE, EventKind.ROTATE, EventKind.MARK, EventKind.GATEWAY} <= kinds
    assert any(not is_background(event) for event in events)
    assert all(event.text.isprintable() and "sk-" not in event.text for event in events)


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (0, "0 ms"),
        (685, "685 ms"),
        (1_999, "1999 ms"),
        (2_949, "2.9 s"),
        (29_600, "30 s"),
        (119_000, "119 s"),
        (120_000, "2 min"),
        (300_000, "5 min"),
        (18_000_000, "5 h"),
    ],
)
def test_a_delay_is_told_as_exactly_as_it_is_short(ms: int, said: str) -> None:
    assert delay(ms) == said


def test_a_retry_of_the_same_account_is_told_of_the_session_of_its_trace() -> None:
    names = Names({}, {"s-1": "agent:main:main"})
    started = json.dumps(
        {
            "0": '{"subsystem":"diagnostic"}',
            "1": "session state: sessionId=s-1 sessionKey=agent:main:main prev=idle new=processing queueDepth=0",
            "time": "2026-11-20T22:44:37.000+00:00",
            "traceId": "t1",
        }
    )
    again = "transient same-model retry 3/9 for fakeai/fake-model reason=rate_limit: delayMs=5935"

    def retry(trace: str) -> Event | None:
        return parse_line(json.dumps({"1": again, "time": "2026-11-20T22:44:40.000+00:00", "traceId": trace}), names)

    state = parse_line(started, names)
    told = retry("t1")
    assert state is not None
    assert told is not None
    assert told.session_key == "agent:main:main"
    assert (told.provider, told.model, told.reason) == ("fakeai", "fake-model", "rate_limit")
    assert told.text == "rate_limit: retries the same account in 5.9 s, 3 of 9"
    stranger = retry("t2")
    assert stranger is not None
    assert stranger.session_key is None
    runs = LogRuns()
    runs.follow([state, told])
    (witness,) = (run.witness() for run in runs.runs.values())
    assert witness.retry == AccountRetry(3, 9, told.at + 5_935, "rate_limit")
    assert witness.running is True
    rotated = replace(told, at=told.at + 7_000, kind=EventKind.ROTATE, data={})
    runs.follow([rotated])
    assert runs.runs["agent:main:main"].retry is None


def test_a_run_is_over_at_the_default_log_level() -> None:
    names = Names({}, {}, {"t1": "agent:main:main"}, {"r-1": "agent:main:main"})
    retry = "transient same-model retry 9/9 for fakeai/fake-model reason=rate_limit: delayMs=673"
    runs = LogRuns()
    for text, running in ((retry, True), ("[agent] run r-1 ended with stopReason=stop", False)):
        record = {"0": '{"subsystem":"agent"}', "1": text, "time": "2026-11-28T04:46:24.946+00:00", "traceId": "t1"}
        told = parse_line(json.dumps(record), names)
        assert told is not None
        runs.follow([told])
        assert runs.runs["agent:main:main"].running is running
    assert runs.runs["agent:main:main"].retry is None
    assert parse_line(line("[agent] run of something else"), names) is None


FAILED_END = {"event": "embedded_run_agent_end", "runId": "r-1", "isError": True, "error": "limit"}
ORPHAN = "Preserved orphaned user message without removing the active session leaf. runId=r-1 sessionId=s-1"


@pytest.mark.parametrize(
    ("before", "runs", "named"),
    [
        (FAILED_END, {"r-1": "agent:main:main"}, True),  # the stored claim tells whose run it is
        (FAILED_END, {}, False),
        (ORPHAN, {}, True),  # a line that tells nothing else
        (f"{ORPHAN} sessionKey=agent:ops:main", {}, True),
        ("tool-search: cataloged 53 tools", {"r-1": "agent:main:main"}, False),
    ],
)
def test_at_the_default_log_level_a_retry_is_told_of_its_session(
    before: str | dict[str, object], runs: dict[str, str], named: bool
) -> None:
    names = Names({}, {"s-1": "agent:main:main"}, runs=dict(runs))
    retry = "transient same-model retry 1/9 for fakeai/fake-model reason=rate_limit: delayMs=673"

    def parsed(body: object, subsystem: str = '{"subsystem":"agent/embedded"}') -> Event | None:
        record = {"0": subsystem, "1": body, "time": "2026-11-28T04:46:24.946+00:00", "traceId": "t1"}
        return parse_line(json.dumps(record), names)

    parsed(before)
    told = parsed(retry)
    assert told is not None
    expected = "agent:ops:main" if "agent:ops" in str(before) else "agent:main:main"
    assert told.session_key == (expected if named else None)


def test_what_a_model_says_names_no_session() -> None:
    names = Names({}, {"s-1": "agent:main:main"})
    said = {"0": "sessionKey=agent:main:main runId=r-1", "time": "2026-11-28T04:46:24.946+00:00", "traceId": "t1"}
    assert parse_line(json.dumps(said), names) is None
    assert names.traces == {}
    assert names.runs == {}


def test_a_model_that_answered_after_a_fallback_ends_the_run() -> None:
    runs = LogRuns()
    key = "agent:main:main"
    told = [
        Event(
            1,
            EventKind.FAILURE,
            "gateway-log",
            "failed",
            session_key=key,
            lane=f"session:{key}",
            data={"step": "error"},
        ),
        Event(2, EventKind.FALLBACK, "gateway-log", "next", session_key=key, data={"decision": "candidate_failed"}),
    ]
    runs.follow(told)
    assert runs.runs[key].running is None
    answered = {"decision": "candidate_succeeded", "over": False}
    runs.follow([Event(3, EventKind.FALLBACK, "gateway-log", "answered", session_key=key, data=answered)])
    assert runs.runs[key].running is False


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        (
            {"event": "embedded_run_failover_decision", "decision": "rotate_profile", "failoverReason": "billing"},
            "billing: on to the next profile",
        ),
        (
            {"event": "embedded_run_failover_decision", "decision": "fallback_model", "timedOut": True},
            "timeout: on to the next model",
        ),
        ({"event": "auth_profile_failure_state_updated", "reason": "auth"}, "auth: marked cooldown"),
        (
            {
                "event": "auth_profile_failure_state_updated",
                "reason": "billing",
                "windowType": "disabled",
                "windowReused": True,
            },
            "billing: marked disabled, window already open",
        ),
        (
            {"decision": "candidate_failed", "reason": "rate_limit", "nextCandidateProvider": "q"},
            "rate_limit: p/m failed, the last one",
        ),
        (
            {"decision": "skip_candidate", "nextCandidateProvider": "q", "nextCandidateModel": "n"},
            "unknown: p/m skipped, next q/n",
        ),
        ({"decision": "candidate_succeeded"}, "p/m answered"),
        ({"decision": "probe_cooldown_candidate", "reason": "rate_limit"}, "p/m tried although it is cooling"),
    ],
)
def test_why_comes_first_so_that_a_narrow_column_shows_it(facts: dict[str, object], text: str) -> None:
    body = {"event": "model_fallback_decision", "candidateProvider": "p", "candidateModel": "m", **facts}
    told = parse_line(json.dumps({"1": body, "time": "2026-11-28T04:46:24.946+00:00"}), Names())
    assert told is not None
    assert told.text == text
