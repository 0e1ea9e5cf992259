"""Transcripts that were written just now and that sessions.json does not name."""

from __future__ import annotations

import json
import os
from pathlib import Path

from clawtop.core.health.judgement import judge
from clawtop.store.locks.processes import UncheckedProcesses
from clawtop.store.sessions.unlisted import BY_TURNS, FRESH_MS, UnlistedTranscripts
from clawtop.store.snapshot import SnapshotReader
from tests.support.clocks import ManualClock

NOW = 1_795_214_000_000


def write(directory: Path, name: str, age_ms: int = 0) -> str:
    path = directory / name
    path.write_text("")
    at = (NOW - age_ms) * 1_000_000
    os.utime(path, ns=(at, at))
    return str(path)


def test_fresh_ones_are_told_and_what_is_named_old_or_no_transcript_is_not(tmp_path: Path) -> None:
    fresh = write(tmp_path, "cli.jsonl", 5_000)
    for name in (
        "named.jsonl",
        "cli.trajectory.jsonl",
        "cli.jsonl.lock",
        "cli.jsonl.reset.2026-01-01",
        "sessions.json",
    ):
        write(tmp_path, name)
    write(tmp_path, "old.jsonl", FRESH_MS + 1)
    write(tmp_path, "ahead.jsonl", -1)
    found = UnlistedTranscripts().fresh(str(tmp_path), {"named.jsonl"}, NOW)
    assert found == {fresh: NOW - 5_000}


def test_one_that_is_written_again_is_told_though_the_directory_is_as_it_was(tmp_path: Path) -> None:
    old = write(tmp_path, "old.jsonl", FRESH_MS + 1)
    looks = UnlistedTranscripts()
    assert looks.fresh(str(tmp_path), (), NOW) == {}
    os.utime(old, ns=(NOW * 1_000_000, NOW * 1_000_000))
    assert looks.fresh(str(tmp_path), (), NOW) == {old: NOW}
    assert looks.fresh(str(tmp_path), (), NOW + FRESH_MS + 1) == {}
    assert UnlistedTranscripts().fresh(str(tmp_path / "none"), (), NOW) == {}


def test_thousands_of_old_ones_are_gone_through_by_turns(tmp_path: Path) -> None:
    names = [f"old{number:04}.jsonl" for number in range(3 * BY_TURNS)]
    for name in names:
        write(tmp_path, name, FRESH_MS + 1)
    looks = UnlistedTranscripts()
    looks.fresh(str(tmp_path), (), NOW)
    os.utime(tmp_path / names[-1], ns=(NOW * 1_000_000, NOW * 1_000_000))
    found = [bool(looks.fresh(str(tmp_path), (), NOW)) for _ in range(4)]
    assert any(found)


def test_a_turn_of_the_command_line_that_failed_in_one_counts(tmp_path: Path) -> None:
    """2026.3.28 makes no entry for `agent --session-id`; its transcript is the only witness."""
    state = tmp_path / ".openclaw"
    sessions = state / "agents/main/sessions"
    sessions.mkdir(parents=True)
    (state / "agents/main/agent").mkdir()
    (state / "agents/main/agent/auth-profiles.json").write_text('{"version": 1, "profiles": {}}')
    (state / "openclaw.json").write_text('{"meta": {"lastTouchedVersion": "2026.3.28"}}')
    clock = ManualClock()
    now = clock.now_ms()
    asked = {"role": "user", "content": [{"type": "text", "text": "ping"}], "timestamp": now - 9_000}
    answer = {
        "role": "assistant",
        "content": [],
        "stopReason": "error",
        "errorMessage": "429",
        "timestamp": now - 8_000,
    }
    path = sessions / "cli.jsonl"
    path.write_text("".join(json.dumps({"type": "message", "message": one}) + "\n" for one in (asked, answer)))
    os.utime(path, ns=((now - 8_000) * 1_000_000, (now - 8_000) * 1_000_000))
    snapshot = SnapshotReader(
        state_dir=state, env={}, home=tmp_path, clock=clock, processes=UncheckedProcesses()
    ).read()
    (session,) = snapshot.sessions
    assert (session.session_id, session.file, session.problems) == ("cli", str(path), ())
    assert "turn-failed" in {cause.code for cause in judge(snapshot, now).causes}
