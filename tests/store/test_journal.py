"""The journal: exact and bounded, tolerant of garbage, without secrets, shared by processes."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clawtop.core.model import Event, EventKind
from clawtop.errors import OperationFailedError, RefusedError
from clawtop.redaction import remember_secrets
from clawtop.store.own import journal as journal_module
from clawtop.store.own.journal import Journal


def event(at: int, text: str = "cleared fakeai:one", **facts: Any) -> Event:
    return Event(at, EventKind.OPERATION, "journal", text, **facts)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path)


def test_what_is_written_is_read_again(journal: Journal) -> None:
    events = (
        event(1, agent="main", profile="fakeai:\ud800", duration_ms=3, pid=7, data={"undo": {"until": [1, None]}}),
        event(2, "zwei ü 💥"),
        Event(3, EventKind.MARK, "engine", "landed", provider="fakeai", model="m", reason="rate_limit"),
    )
    for item in events:
        journal.append(item)
    assert journal.tail() == events
    assert journal.tail(2) == events[1:]
    assert journal.tail(since=3) == events[2:]
    assert journal.path.read_bytes().isascii()


def test_reading_creates_nothing(journal: Journal, tmp_path: Path) -> None:
    assert journal.tail() == ()
    assert list(tmp_path.iterdir()) == []


def test_it_is_private(journal: Journal) -> None:
    journal.append(event(1))
    assert stat.S_IMODE(journal.path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(entry.stat().st_mode) for entry in journal.path.parent.iterdir()} == {0o600}


def test_garbage_costs_only_itself(journal: Journal) -> None:
    journal.append(event(1))
    with journal.path.open("ab") as file:
        file.write(b'not json\n\n[1]\n{"at":"x","kind":"operation","source":"s","text":"t"}\n')
        file.write(b'{"at":5,"kind":"no-such-kind","source":"s","text":"t"}\n{"kind":"operation"}\n')
        file.write(b'{"at":5,"kind":"operation","source":"s","text":"t","later":"field"}\n')
        file.write(b'{"at":5,"kind":"operation","source":"s","text":"t","data":[]}\n\xff\xfe\n')
        file.write(b"x" * 600_000 + b"\n")
    journal.append(event(2))
    with journal.path.open("ab") as file:
        file.write(b'{"at": 3, "kind": "opera')
    assert [item.at for item in journal.tail()] == [1, 2]


def test_a_file_of_gigabytes_is_read_from_its_end_only(journal: Journal) -> None:
    """It would be read for half a minute, at each look, for what no clawtop has written."""
    journal.append(event(1, "long ago"))
    os.truncate(journal.path, 5 << 30)
    with journal.path.open("ab") as file:
        file.write(b"\n")
    written = event(2, "now")
    with journal.path.open("ab") as file:
        file.write(journal_module._line(written))
    assert journal.tail() == (written,)
    journal.append(event(3, "afterwards"))  # into a file of its own
    assert [each.text for each in journal.tail()] == ["now", "afterwards"]


def test_prose_is_masked_and_undo_is_exact(journal: Journal) -> None:
    remember_secrets(["verysecretvalue"])
    undo = {"profile": "fakeai:sk-team-account"}
    journal.append(event(1, "failed: verysecretvalue", data={"why": ["Bearer abcdefghij"], "undo": undo}))
    content = journal.path.read_text()
    assert "verysecretvalue" not in content
    assert "abcdefghij" not in content
    assert journal.tail()[0].data["undo"] == undo


def test_it_never_takes_more_than_two_files(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "MAX_BYTES", 1_000)
    for number in range(100):
        journal.append(event(number))
    files = {entry.name: entry.stat().st_size for entry in journal.path.parent.iterdir()}
    assert set(files) == {"journal.jsonl", "journal.jsonl.1", "journal.lock"}
    assert max(files.values()) < 1_200
    kept = [item.at for item in journal.tail()]
    assert kept == list(range(kept[0], 100))
    assert len(kept) > 12


def test_another_users_directory_is_refused(journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(RefusedError, match="another user"):
        journal.append(event(1))
    assert list(tmp_path.iterdir()) == []


def test_a_state_directory_that_is_gone_is_not_made_again(tmp_path: Path) -> None:
    with pytest.raises(OperationFailedError, match="No such file"):
        Journal(tmp_path / "gone").append(event(1))
    assert list(tmp_path.iterdir()) == []


def test_processes_write_whole_lines(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
import sys
from clawtop.core.model import Event, EventKind
from clawtop.store.own import journal
journal.MAX_BYTES = 60_000
book = journal.Journal(sys.argv[1])
for number in range(60):
    book.append(Event(number, EventKind.NOTICE, sys.argv[2], "x" * 200))
"""
    root = Path(__file__).resolve().parents[2]
    workers = [
        subprocess.Popen([sys.executable, "-c", code, str(journal.path.parents[1]), f"w{number}"], cwd=root)
        for number in range(3)
    ]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    events = journal.tail(10_000)
    assert len(events) == 180
    for number in range(3):
        assert [item.at for item in events if item.source == f"w{number}"] == list(range(60))
    assert all(json.loads(line) for line in journal.path.read_text().splitlines())


def test_of_two_claims_of_one_operation_the_first_is_written(journal: Journal) -> None:
    first = replace(event(1), data={"id": "op-1"})
    second = replace(event(2), data={"id": "op-1"})
    assert journal.claim(first)
    assert not journal.claim(second)
    assert journal.claim(replace(event(3), data={"id": "op-2"}))
    assert [item.at for item in journal.tail()] == [1, 3]


def test_the_last_events_of_some_kinds_are_found_far_back(journal: Journal) -> None:
    acts = [event(at, f"done: {at}") for at in (1, 2, 3)]
    others = [Event(10 + at, EventKind.MARK, "engine", "marked") for at in range(700)]
    journal.append(*acts[:2], *others[:300], acts[2], *others[300:])
    assert journal.of_kinds({EventKind.OPERATION}, 2) == tuple(acts[1:])
