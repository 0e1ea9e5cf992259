"""Many processes add their sessions to one list: none is lost, whoever else writes in between."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from clawtop.core.model import ModelRef
from clawtop.errors import OperationFailedError
from clawtop.store import atomic
from clawtop.store.sessions import entry
from clawtop.store.sessions.entry import add_entry, entry_for

PROCESSES = 8
EACH = 25
WRITER = Path(__file__).with_name("entry_writer.py")


def test_every_entry_of_eight_processes_is_kept(tmp_path: Path) -> None:
    store = tmp_path / "sessions.json"
    store.write_text('{"agent:main:main": {"sessionId": "old", "n": 1.50}}')
    writers = [
        subprocess.Popen(
            [sys.executable, str(WRITER), str(tmp_path), str(store), f"w{number}", str(EACH)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=60)
    assert [writer.returncode for writer in writers] == [0] * PROCESSES
    listed = json.loads(store.read_text())
    assert "1.50" in store.read_text()
    wanted = {f"agent:main:w{writer}-{number}" for writer in range(PROCESSES) for number in range(EACH)}
    assert set(listed) == {"agent:main:main", *wanted}


def test_an_entry_that_somebody_else_wrote_over_is_added_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "sessions.json"
    store.write_text("{}")
    real = atomic.replace
    overwritten: list[int] = []

    def replace_then_lose(*arguments: object, **options: object) -> object:
        facts = real(*arguments, **options)  # type: ignore[arg-type]
        if not overwritten:
            overwritten.append(1)
            store.write_text('{"theirs": {}}')
        return facts

    monkeypatch.setattr(atomic, "replace", replace_then_lose)
    assert add_entry(store, "ours", entry_for("s", store, ModelRef("p", "m"), 1, 2), tmp_path)
    assert set(json.loads(store.read_text())) == {"theirs", "ours"}


def test_a_lock_of_ours_that_stays_taken_leaves_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "sessions.json"
    store.write_text("{}")
    monkeypatch.setattr(entry, "LOCK_WAIT_S", 0.0)
    with entry._one_at_a_time(tmp_path), pytest.raises(OperationFailedError, match="was never free"):
        add_entry(store, "ours", {}, tmp_path)
    assert store.read_text() == "{}"
