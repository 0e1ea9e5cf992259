"""The samples' logs and directories tell the stories that their manifests describe: timeline, lanes, holders, tree."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from clawtop.core.incident.blocking import Node, NodeKind, Severity, blocking_tree
from clawtop.core.incident.timeline import is_background
from clawtop.core.model import Event, EventKind, GatewayState, LaneStats, ProviderTime, Snapshot, plain_text
from clawtop.core.session.admission import Ask, Claimant
from clawtop.store.incident import IncidentPart
from clawtop.store.own.accounts import AccountNote, AccountNotes
from clawtop.store.own.holder_record import canonical
from clawtop.store.own.holders import HolderRecords
from clawtop.store.own.journal import Journal
from clawtop.store.own.presence import Presence, holders_dir
from tests.support.clocks import ManualClock
from tests.support.samples import ROOT, Sample, copy, sample

MAIN = "agent:main:main"
FAILOVER = (EventKind.FAILURE, EventKind.ROTATE, EventKind.MARK, EventKind.FALLBACK)


def told(version: str, scenario: str, tmp_path: Path) -> tuple[Sample, Snapshot]:
    """A sample with its gateway's log where its configuration says, judged as of its capture."""
    here = copy(sample(version, scenario), tmp_path)
    shutil.copy(ROOT / version / "gateway.log.jsonl", here.state_dir / "gateway.log")
    reader = here.reader(at=here.captured_at, extra_parts=[IncidentPart()])
    return here, reader.read()


def last_turn(snapshot: Snapshot) -> tuple[Event, ...]:
    """What happened since the gateway that runs at capture has started."""
    starts = [n for n, event in enumerate(snapshot.events) if event.data.get("step") == "start"]
    return tuple(event for event in snapshot.events[starts[-1] :] if not is_background(event))


def lane(snapshot: Snapshot, name: str) -> LaneStats:
    return next(lane for lane in snapshot.lanes if lane.lane == name)


def tree(here: Sample, snapshot: Snapshot) -> tuple[Node, ...]:
    return blocking_tree(snapshot, here.captured_at, snapshot.events)


# --- what providers said -----------------------------------------------------------------------------------------


def times_told(here: Sample, at: int) -> dict[str, ProviderTime]:
    snapshot = here.reader(at=at, extra_parts=[IncidentPart()]).read()
    return {profile.id: told for profile in snapshot.profiles if (told := profile.provider_time) is not None}


def test_the_providers_own_time_comes_from_the_notes_and_reading_it_creates_nothing(tmp_path: Path) -> None:
    here = copy(sample("2026.5.20", "rate-limited"), tmp_path)
    at = here.captured_at
    assert times_told(here, at) == {}
    assert not (here.state_dir / "clawtop").exists()
    notes = AccountNotes(here.state_dir)
    notes.note("main", "fakeai:one", AccountNote(at, at + 90_000, "rate_limit", None, at + 60_000))
    notes.note("main", "fakeai:two", AccountNote(at, at + 90_000, "rate_limit"))
    notes.note("elsewhere", "fakeai:three", AccountNote(at, at + 90_000, "rate_limit", None, at + 60_000))
    before = sorted(path.name for path in (here.state_dir / "clawtop").rglob("*"))
    assert times_told(here, at) == {"fakeai:one": ProviderTime(at + 60_000, at, "rate_limit")}
    assert sorted(path.name for path in (here.state_dir / "clawtop").rglob("*")) == before
    assert times_told(here, at - 1) == {}, "it was said later"
    assert times_told(here, at + 60_000) == {}, "the time has come"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"notes": [{"told": 1}, 7]}', b'{"notes": {}}', b"\xff"])
def test_notes_that_make_no_sense_say_nothing(tmp_path: Path, content: bytes) -> None:
    here = copy(sample("2026.5.20", "rate-limited"), tmp_path)
    own = here.state_dir / "clawtop"
    own.mkdir(mode=0o700)
    (own / "accounts.json").write_bytes(content)
    assert times_told(here, here.captured_at) == {}


@pytest.mark.parametrize("told", [True, "60", 1e12, None, 2**60, [5]])
def test_a_time_that_is_none_is_not_taken_for_one(tmp_path: Path, told: object) -> None:
    here = copy(sample("2026.5.20", "rate-limited"), tmp_path)
    own, at = here.state_dir / "clawtop", here.captured_at
    own.mkdir(mode=0o700)
    note = {"agent": "main", "profile": "fakeai:one", "at": at, "until": at + 90_000, "reason": "rate_limit"}
    (own / "accounts.json").write_text(json.dumps({"notes": [{**note, "told": at + 60_000}]}))
    assert times_told(here, at).keys() == {"fakeai:one"}
    (own / "accounts.json").write_text(json.dumps({"notes": [{**note, "told": told}]}))
    assert times_told(here, at) == {}


# --- rate-limited ------------------------------------------------------------------------------------------------


def test_a_429_then_rotation_then_the_mark_then_the_reply(tmp_path: Path) -> None:
    """2026.5.20: rotate first, then mark; the turn succeeds with another profile."""
    _, snapshot = told("2026.5.20", "rate-limited", tmp_path)
    story = [event for event in last_turn(snapshot) if event.kind in {*FAILOVER, EventKind.REPLY}][-4:]
    assert [event.kind for event in story] == [EventKind.FAILURE, EventKind.ROTATE, EventKind.MARK, EventKind.REPLY]
    failure, rotation, mark, reply = story
    assert rotation.at - failure.at < 1_000
    assert (rotation.profile, mark.profile) == ("fakeai:one", "fakeai:one")
    assert mark.text == "rate_limit: marked cooldown for 30 s"
    assert {event.session_key for event in story} == {MAIN}
    assert reply.duration_ms == 763


def test_an_old_gateway_asks_four_times_and_marks_before_it_rotates(tmp_path: Path) -> None:
    """2026.3.28 (thread 1): the mark comes first, and the rotation waits for it."""
    _, snapshot = told("2026.3.28", "rate-limited", tmp_path)
    kinds = [event.kind for event in last_turn(snapshot) if event.kind in FAILOVER][-6:]
    assert kinds == [EventKind.FAILURE] * 4 + [EventKind.MARK, EventKind.ROTATE]


# --- running -----------------------------------------------------------------------------------------------------


def test_a_run_in_its_model_call_fills_its_lanes_and_may_be_taken_over(tmp_path: Path) -> None:
    here, snapshot = told("2026.5.20", "running", tmp_path)
    assert (lane(snapshot, "main").active, lane(snapshot, "main").limit) == (1, 4)
    session_lane = lane(snapshot, f"session:{MAIN}")
    assert (session_lane.active, session_lane.limit) == (1, 1)
    (holder,) = snapshot.holders
    assert (holder.session_key, holder.source, holder.lane) == (MAIN, "trajectory", f"session:{MAIN}")
    assert holder.takeover_risk == "its lock is free during the model call, and the heartbeat shares this session"
    assert tree(here, snapshot) == (), "a run at work blocks nobody yet"


@pytest.mark.parametrize("version", ["2026.3.28", "2026.6.11"])
def test_a_version_that_keeps_its_lock_shows_the_run_by_it_and_no_risk(version: str, tmp_path: Path) -> None:
    _, snapshot = told(version, "running", tmp_path)
    (holder,) = snapshot.holders
    assert (holder.session_key, holder.source, holder.takeover_risk) == (MAIN, "lock", None)


# --- crash -------------------------------------------------------------------------------------------------------


def test_a_crash_leaves_a_ghost_and_empty_lanes(tmp_path: Path) -> None:
    here, snapshot = told("2026.5.20", "crash", tmp_path)
    assert snapshot.gateway.state is GatewayState.DEAD
    assert {(lane.active, lane.queued) for lane in snapshot.lanes} == {(0, 0)}
    assert snapshot.holders == ()
    (gateway,) = tree(here, snapshot)
    assert (gateway.kind, gateway.severity, gateway.advice) == (NodeKind.GATEWAY, Severity.STUCK, "restart gateway")
    (ghost,) = gateway.children
    assert (ghost.kind, ghost.id, plain_text(ghost.label)) == (NodeKind.SESSION, MAIN, "agent:main:main died with it")


def test_an_old_gateways_crash_leaves_two_locks_of_the_dead(tmp_path: Path) -> None:
    """2026.3.28 leaves sessions.json.lock behind too, which no restart removes."""
    here, snapshot = told("2026.3.28", "crash", tmp_path)
    trees = {node.kind: node for node in tree(here, snapshot)}
    assert trees[NodeKind.GATEWAY].severity is Severity.STUCK
    store, session = sorted(
        (node for node in tree(here, snapshot) if node.kind is NodeKind.LOCK),
        key=lambda node: plain_text(node.label),
        reverse=True,
    )
    assert (session.cause().kind, session.cause().remedy) == (NodeKind.PROCESS, "unlock")
    assert session.cause().id.endswith(".jsonl.lock")
    assert store.label == "sessions store lock: owner is dead"
    assert store.id.endswith("sessions.json.lock")


# --- jammed, pinned, healthy -------------------------------------------------------------------------------------


def test_a_foreign_marker_jams_the_store_for_good_and_nothing_in_the_log_names_it(tmp_path: Path) -> None:
    here, snapshot = told("2026.5.20", "jammed", tmp_path)
    late = here.captured_at + 60_000
    (jam,) = blocking_tree(snapshot, late, snapshot.events)
    assert (jam.kind, jam.severity) == (NodeKind.AGENT, Severity.STUCK)
    assert jam.cause().label == "auth lock that names no owner (not JSON); OpenClaw never removes it"
    assert jam.cause().remedy is None, "without an owner there is no proof of its death"
    assert not any("auth-profiles.json.lock" in event.text for event in snapshot.events)


def test_an_old_gateway_lost_its_time_between_error_and_rotation(tmp_path: Path) -> None:
    """2026.3.28 under the jammed lock: the last 429 is followed by its rotation only ten seconds later."""
    _, snapshot = told("2026.3.28", "jammed", tmp_path)
    turn = last_turn(snapshot)
    rotation = next(event for event in turn if event.kind is EventKind.ROTATE)
    last_error = [event for event in turn if event.kind is EventKind.FAILURE][-1]
    assert rotation.at - last_error.at > 9_000


@pytest.mark.parametrize("scenario", ["healthy", "pinned"])
def test_where_nothing_is_wrong_nothing_is_blocked(scenario: str, tmp_path: Path) -> None:
    here, snapshot = told("2026.5.20", scenario, tmp_path)
    assert tree(here, snapshot) == ()
    assert snapshot.holders == ()


def test_nothing_of_the_future_is_told(tmp_path: Path) -> None:
    here, snapshot = told("2026.5.20", "rate-limited", tmp_path)
    assert max(event.at for event in snapshot.events) <= here.captured_at


# --- following a live directory ----------------------------------------------------------------------------------


def test_what_changes_between_snapshots_is_told_once(tmp_path: Path) -> None:
    here = copy(sample("2026.5.20", "rate-limited"), tmp_path)
    clock = ManualClock(here.captured_at)
    reader = here.reader(clock=clock, extra_parts=[IncidentPart()])
    assert [event for event in reader.read().events if event.source == "snapshot"] == []
    state = here.state_dir / "agents/main/agent/auth-state.json"
    parsed = json.loads(state.read_text())
    parsed["usageStats"]["fakeai:two"] = {"cooldownUntil": here.captured_at + 60_000, "cooldownReason": "overloaded"}
    state.write_text(json.dumps(parsed))
    told_once = [event for event in reader.read().events if event.source == "snapshot"]
    assert [(event.text, event.profile) for event in told_once] == [("fakeai:two is cooling for 60 s", "fakeai:two")]
    assert [event for event in reader.read().events if event.source == "snapshot"] == told_once


def test_the_journal_arrives_and_is_read_once(tmp_path: Path) -> None:
    here = copy(sample("2026.5.20", "healthy"), tmp_path)
    reader = here.reader(extra_parts=[IncidentPart()])
    assert not any(event.source == "engine" for event in reader.read().events)
    journal = Journal(here.state_dir)
    first = Event(
        here.captured_at, EventKind.ACQUIRE, "engine", "run-1 holds the prompt", lane="heartbeat", duration_ms=40
    )
    journal.append(first)
    assert reader.read().events[-1] == first
    second = replace(first, at=first.at + 1, kind=EventKind.TAKEOVER, text="taken over")
    journal.append(second)
    snapshot = reader.read()
    assert snapshot.events[-2:] == (first, second)
    heartbeat = lane(snapshot, "heartbeat")
    assert (heartbeat.source, heartbeat.lane_class) == ("clawtop", "heartbeat")
    assert (heartbeat.takeovers, heartbeat.waits) == (1, (40,))


def test_its_own_directories_are_watched_once_they_exist(tmp_path: Path) -> None:
    here = copy(sample("2026.5.20", "healthy"), tmp_path)
    reader = here.reader(extra_parts=[IncidentPart()])
    reader.read()
    own = here.state_dir / "clawtop"
    assert own not in reader.watch_directories()
    (own / "holders").mkdir(parents=True)
    reader.read()
    assert {own, own / "holders"} <= set(reader.watch_directories())


def test_a_holder_of_our_own_is_shown_with_who_waits(tmp_path: Path) -> None:
    here = copy(sample("2026.5.20", "healthy"), tmp_path)
    reader = here.reader(extra_parts=[IncidentPart()])
    session = next(session for session in reader.read().sessions if session.key == MAIN)
    records = HolderRecords(Presence.of(holders_dir(here.state_dir)))
    for number, name in enumerate(("heartbeat", "channel")):
        asks = Claimant(
            token=name,
            member=records.presence.member,
            pid=os.getpid(),
            lane=name,
            run_id=f"run-{name}",
            since=here.captured_at - 9_000 + number,
            session_key=MAIN,
            agent="main",
        )
        records.apply(canonical(session.file or ""), Ask(asks), here.captured_at - 9_000 + number)
    snapshot = reader.read()
    (holder,) = snapshot.holders
    assert (holder.run_id, holder.session_file, [w.lane for w in holder.waiters]) == (
        "run-heartbeat",
        session.file,
        ["channel"],
    )
    assert (lane(snapshot, "heartbeat").active, lane(snapshot, "channel").queued) == (1, 1)
    roots = blocking_tree(snapshot, here.captured_at, ())
    (blocked,) = (root for root in roots if root.kind is not NodeKind.GATEWAY)  # it is starting
    assert (blocked.id, blocked.severity, blocked.cause().kind) == (MAIN, Severity.BLOCKED, NodeKind.HOLDER)


def test_reading_writes_nothing(tmp_path: Path) -> None:
    here = copy(sample("2026.5.20", "running"), tmp_path)
    shutil.copy(ROOT / here.version / "gateway.log.jsonl", here.state_dir / "gateway.log")
    before = {path: path.stat().st_mtime_ns for path in here.root.rglob("*")}
    reader = here.reader(extra_parts=[IncidentPart()])
    reader.read()
    reader.read()
    assert {path: path.stat().st_mtime_ns for path in here.root.rglob("*")} == before


def test_the_log_of_another_machine_is_not_looked_for_here(tmp_path: Path) -> None:
    here = copy(sample("2026.5.20", "healthy"), tmp_path)
    config = here.state_dir / "openclaw.json"
    config.write_text(config.read_text().replace("/home/op/.openclaw/gateway.log", "/var/log/not-of-this-state.log"))
    snapshot = here.reader(extra_parts=[IncidentPart()]).read()
    assert not any(event.source == "gateway-log" for event in snapshot.events)
    assert not any(problem.code.startswith("log") for problem in snapshot.warnings)
