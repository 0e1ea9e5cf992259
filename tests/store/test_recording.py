"""Recordings: what goes in comes out, and a damaged one is read as far as it goes."""

from __future__ import annotations

import errno
import gzip
import json
import os
import stat
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawtop.core.model import (
    AgentInfo,
    AuthStore,
    ConfigSummary,
    Credential,
    Event,
    EventKind,
    Generation,
    Moment,
    Problem,
    Profile,
    Session,
    Snapshot,
    UsageStats,
    agent_named,
    session_named,
    timed_problem,
)
from clawtop.errors import OperationFailedError, StateUnreadableError
from clawtop.redaction import remember_secrets
from clawtop.store.disk import disk
from clawtop.store.own import recording as recording_module
from clawtop.store.own.deltas import SENSELESS, Assembly, Changes
from clawtop.store.own.recording import FLUSH_EVERY, Encoder, Recorder, embedded, embedding, load_recording

START = 1_795_214_000_000
WARNING = {"code": "x", "where": "y", "text": "z"}


def world(number: int, last_used: int = 0, host: str = "reef") -> Snapshot:
    profiles = tuple(
        Profile(
            f"fakeai:{name}",
            "fakeai",
            Credential("api_key"),
            "main",
            stats=UsageStats(last_used=last_used if name == "three" else 7, failure_counts={"rate_limit": 2}),
        )
        for name in ("one", "two", "three")
    )
    store = AuthStore("main", "/s/auth-profiles.json", profiles=profiles, order={"fakeai": ("fakeai:two",)})
    return Snapshot(
        number,
        START + number * 1000,
        host,
        "/s",
        Generation.B,
        "2026.5.20",
        agents=(AgentInfo("main", "/s/agent", "/s/sessions", store=store),),
        sessions=tuple(Session("main", f"agent:main:{index}", None, None, updated_at=index) for index in range(9)),
    )


def recorder(path: Path, **options: int) -> Recorder:
    return Recorder(path, started_at=START, clawtop_version="9.9", **options)


def test_snapshots_and_events_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "incident.clawtop"
    frames = [world(number, last_used=number * 10) for number in range(1, 40)]
    event = Event(START + 5, EventKind.MARK, "journal", "marked", profile="fakeai:one", data={"until": 12})
    with_event = recorder(path)
    for frame in frames:
        with_event.add(replace(frame, events=(event,) if frame.number > 20 else ()))
    with_event.close()
    recording = load_recording(path)
    assert [frame.snapshot for frame in recording.frames] == frames
    assert recording.events == (event,)
    assert (recording.started_at, recording.problem) == (START, None)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_sentence_comes_back_with_its_times_and_names_as_values(tmp_path: Path) -> None:
    path = tmp_path / "incident.clawtop"
    said = (agent_named("main"), " has waited since ", Moment(START), "; ", session_named("agent:main:x"), " too")
    frames = [world(1), replace(world(2), warnings=(timed_problem("no-answer", "/s", said), Problem("a", "b", "c")))]
    with_times = recorder(path)
    for frame in frames:
        with_times.add(frame)
    with_times.close()
    assert [frame.snapshot for frame in load_recording(path).frames] == frames


def test_every_event_is_recorded_while_the_tail_of_events_stays_full(tmp_path: Path) -> None:
    events = tuple(Event(START + n, EventKind.MARK, "journal", f"mark {n}") for n in range(12))
    path = tmp_path / "incident.clawtop"
    full = recorder(path)
    for number in range(10):
        full.add(replace(world(number + 1, last_used=number), events=events[number : number + 3]))
    full.close()
    assert load_recording(path).events == events


def test_a_snapshot_without_news_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "quiet"
    quiet = recorder(path)
    for number in range(1, 30):
        quiet.add(world(number))
    quiet.close()
    assert len(load_recording(path).frames) == 1


@pytest.mark.parametrize("host", ["sk-ant-0123456789abcdef", "by value: correct horse battery", "\udc80 lone"])
def test_no_secret_gets_in_and_odd_strings_survive(tmp_path: Path, host: str) -> None:
    remember_secrets(["correct horse battery"])
    path = tmp_path / "recording"
    hostile = recorder(path)
    hostile.add(world(1, host=host))
    hostile.close()
    found = load_recording(path).frames[0].snapshot.host
    assert "0123456789abcdef" not in found
    assert "horse" not in found
    assert ("lone" in found) == ("lone" in host)


def test_one_that_was_cut_short_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "cut"
    cut = recorder(path)
    for number in range(1, 4 * FLUSH_EVERY):
        cut.add(world(number, last_used=number))
    cut.flush()
    whole = path.read_bytes()
    cut.close()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    recording = load_recording(path)
    assert 0 < len(recording.frames) < 4 * FLUSH_EVERY
    assert recording.problem is not None
    assert "cut short" in recording.problem
    assert recording.frames[-1].snapshot == world(len(recording.frames), last_used=len(recording.frames))


@given(st.integers(0, 2000), st.integers(1, 255))
def test_a_damaged_one_never_crashes(tmp_path_factory: pytest.TempPathFactory, where: int, flip: int) -> None:
    path = tmp_path_factory.mktemp("damage") / "recording"
    damaged = recorder(path)
    for number in range(1, 6):
        damaged.add(world(number, last_used=number))
    damaged.close()
    content = bytearray(path.read_bytes())
    content[where % len(content)] ^= flip
    path.write_bytes(content)
    refusal = ""
    try:
        frames = load_recording(path).frames
    except StateUnreadableError as error:
        frames, refusal = (), str(error)
    assert frames or str(path) in refusal


def test_it_rotates_and_both_parts_stand_alone(tmp_path: Path) -> None:
    path = tmp_path / "long"
    long = recorder(path, max_bytes=3_000)
    for number in range(1, 600):
        long.add(replace(world(number), host=f"reef-{number * 7919}"))
    long.close()
    older, newer = load_recording(tmp_path / "long.1"), load_recording(path)
    assert older.frames[-1].at < newer.frames[0].at
    assert newer.frames[-1].snapshot.number == 599


@pytest.mark.parametrize("content", [b"", b"not gzip", b"\x1f\x8b\x08\x00"])
def test_what_is_not_a_recording_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(StateUnreadableError, match="not a clawtop recording"):
        load_recording(path)
    with pytest.raises(StateUnreadableError, match="cannot be read"):
        load_recording(tmp_path / "missing")


def test_it_does_not_follow_a_planted_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "link").symlink_to(victim)
    with pytest.raises(OperationFailedError, match="exists"):
        recorder(tmp_path / "link")
    assert victim.read_text() == "precious"


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int, _content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(disk, "write", full)
    with pytest.raises(OperationFailedError, match="No space left"):
        recorder(tmp_path / "x")


def test_nothing_is_lost_when_the_disk_takes_a_little_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = disk.write
    monkeypatch.setattr(disk, "write", lambda descriptor, content: write(descriptor, content[:7]))
    little = recorder(tmp_path / "x")
    little.add(world(1))
    little.close()
    recording = load_recording(tmp_path / "x")
    assert [frame.snapshot for frame in recording.frames] == [world(1)]
    assert recording.problem is None


def test_a_recording_never_replaces_a_file(tmp_path: Path) -> None:
    (tmp_path / "openclaw.json").write_text("{}")
    with pytest.raises(OperationFailedError, match="exists"):
        recorder(tmp_path / "openclaw.json")
    assert (tmp_path / "openclaw.json").read_text() == "{}"


def test_read_only_mappings_and_grown_and_shrunk_lists_come_back(tmp_path: Path) -> None:
    first = replace(world(1), config=ConfigSummary(lane_limits=MappingProxyType({"main": 4})))
    many = replace(first, number=2, taken_at=first.taken_at + 1, sessions=(*first.sessions, *first.sessions))
    last = replace(many, number=3, taken_at=first.taken_at + 2, sessions=first.sessions[1:])
    tape = recorder(tmp_path / "tape")
    for value in (first, many, last):
        tape.add(value)
    tape.close()
    assert [frame.snapshot for frame in load_recording(tmp_path / "tape").frames] == [first, many, last]


def test_an_incident_file_carries_its_recording_through_a_paste(tmp_path: Path) -> None:
    encoder = Encoder(started_at=START, clawtop_version="9.9")
    content = encoder.add(world(1)) + encoder.finished()
    pasted = tmp_path / "issue.md"
    pasted.write_text("# Incident\n\n> " + embedding(content).replace("\n", "\r\n> ") + "\nthanks!\n")
    assert load_recording(pasted).frames[0].snapshot == world(1)
    assert embedded(b"# no recording here") is None


def test_a_recording_that_unpacks_without_end_is_left_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording_module, "LINE_LIMIT", 4 * 1024 * 1024)
    bomb = tmp_path / "bomb"
    header = b'{"clawtop_recording": 1, "started_at": 1}\n'
    bomb.write_bytes(gzip.compress(header + b" " * (64 * 1024 * 1024)))
    with pytest.raises(StateUnreadableError, match="no snapshot: the recording is damaged"):
        load_recording(bomb)


def test_names_that_no_encoding_has_and_numbers_beyond_all_bounds_come_back(tmp_path: Path) -> None:
    odd = Session("main", "agent:main:\ud800", None, "/s/\udcff.jsonl", updated_at=10**30)
    value = replace(world(1), sessions=(odd,), events=(Event(START, EventKind.NOTICE, "x", "y\udc80"),))
    tape = recorder(tmp_path / "tape")
    tape.add(value)
    tape.close()
    loaded = load_recording(tmp_path / "tape")
    assert loaded.frames[0].snapshot == replace(value, events=())
    assert loaded.events == value.events


@pytest.mark.parametrize(
    "change", [{"differs": {"0": WARNING}}, {"items": {"0": {"is": WARNING}}}, {"splice": [0, 1, [WARNING]]}]
)
def test_a_small_file_that_promises_a_lot_is_read_as_far_as_there_is_memory(
    tmp_path: Path, change: dict[str, object]
) -> None:
    """Thousands of records, each of which has a long list made anew."""
    header = json.dumps({"clawtop_recording": 1, "clawtop": "0", "started_at": 1})
    first = Encoder(started_at=1, clawtop_version="0")
    lines = gzip.decompress(first.add(world(1)) + first.finished()).decode().splitlines()
    begin = next(line for line in lines if '"set"' in line)
    record = json.loads(begin)
    record["set"]["warnings"] = {"is": [WARNING] * 20_000}
    again = json.dumps({"at": 2, "set": {"warnings": change}})
    path = tmp_path / "bomb"
    path.write_bytes(gzip.compress("\n".join([header, json.dumps(record), *[again] * 5_000, ""]).encode()))
    assert path.stat().st_size < 50_000
    loaded = load_recording(path)
    assert "more than clawtop reads" in (loaded.problem or "")
    assert 10 < len(loaded.frames) < 100


@pytest.mark.parametrize("content", [b"\0" * (600 * 1024 * 1024), b"[" * 20_000_000])
def test_what_unpacks_beyond_all_bounds_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bomb"
    header = json.dumps({"clawtop_recording": 1, "clawtop": "0", "started_at": 1}).encode()
    path.write_bytes(gzip.compress(header + b"\n" + content, 1))
    with pytest.raises(StateUnreadableError):
        load_recording(path)


def test_of_a_list_only_the_items_that_a_record_tells_are_made_anew() -> None:
    first = Problem("first", "/a", "as it was")
    added, changed = Problem("added", "/b", "new"), Problem("changed", "/b", "newer")
    changes, assembly = Changes(), Assembly()
    seen: list[Snapshot] = []
    for number, warnings in enumerate([(first,), (first, added), (first, changed), (changed,)]):
        for record in changes.of(replace(world(number), warnings=warnings)):
            found = assembly.take(json.loads(json.dumps(record)))
            assert isinstance(found, Snapshot)
            seen.append(found)
    assert [one.warnings for one in seen] == [(first,), (first, added), (first, changed), (changed,)]
    assert seen[0].warnings[0] is seen[1].warnings[0] is seen[2].warnings[0]
    assert seen[2].warnings[1] is seen[3].warnings[0]


def test_of_an_object_inside_of_others_only_the_fields_that_changed_are_written() -> None:
    changes = Changes()
    changes.of(world(1))
    (record,) = changes.of(world(2, last_used=20))
    used = {"of": {"profiles": {"items": {"2": {"of": {"stats": {"of": {"last_used": {"is": 20}}}}}}}}}
    assert record["set"]["agents"] == {"items": {"0": {"of": {"store": used}}}}


def test_an_object_that_comes_and_goes_comes_back_as_it_was() -> None:
    changes, assembly = Changes(), Assembly()
    with_store = world(1)
    without = replace(with_store, number=2, agents=tuple(replace(agent, store=None) for agent in with_store.agents))
    for value in (with_store, without, replace(with_store, number=3)):
        for record in changes.of(value):
            assert assembly.take(json.loads(json.dumps(record))) == value


@pytest.mark.parametrize(
    "delta",
    [
        {"splice": [0, 9, []]},
        {"splice": [2, 1, []]},
        {"differs": {"7": {}}},
        {"differs": {"x": {}}},
        {"items": {"7": {"is": {}}}},
        {"items": {"x": {"is": {}}}},
        {"items": []},
        {"of": {"code": {"is": "x"}}},
        {},
    ],
)
def test_a_change_of_what_is_not_there_makes_no_sense(delta: dict[str, object]) -> None:
    assembly = Assembly()
    for record in Changes().of(world(1)):
        assembly.take(json.loads(json.dumps(record)))
    before = assembly.value
    with pytest.raises(SENSELESS):
        assembly.take({"at": 1, "set": {"warnings": delta}})
    assert assembly.value is before
