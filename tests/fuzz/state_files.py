"""Readers of a state directory: one file or one cell of it, given to a whole reading, to the text and to the JSON."""

from __future__ import annotations

import atexit
import gzip
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from random import Random

from clawtop.store.config_part import config_part
from clawtop.store.incident import IncidentPart
from clawtop.store.locks.processes import SystemProcesses
from clawtop.store.own.recording import embedding, load_recording
from clawtop.store.snapshot import SnapshotReader
from clawtop.view.incident_text import incident_text
from clawtop.view.plain import plain_lines
from clawtop.view.report import report
from tests.fuzz.made import state_with_everything
from tests.support.clocks import ManualClock
from tests.support.samples import unpacked

NOW = 1_795_900_000_000
"""Of each reading: some hours after what stands in the corpus."""

AGENT = "agents/main/agent"
SESSIONS = "agents/main/sessions"
AGENTS_DATABASE = f"{AGENT}/openclaw-agent.sqlite"
LOCKS = (f"{SESSIONS}/main.jsonl.lock", f"{AGENT}/auth-profiles.json.lock")
CELLS = (
    ("state/openclaw.sqlite", "UPDATE config_machine_state SET value_json={} WHERE state_key='authProfiles.store'"),
    ("state/openclaw.sqlite", "UPDATE config_machine_state SET value_json={} WHERE state_key='authProfiles.state'"),
    (AGENTS_DATABASE, "UPDATE session_nodes SET entry_json={} WHERE session_key='agent:main:main'"),
    (AGENTS_DATABASE, "UPDATE transcript_events SET event_json={} WHERE seq=2"),
)


def shown_of(state: Path) -> Sequence[str]:
    """What a whole reading of a state directory shows, its timeline too. AssertionError for what no reader expects."""
    reader = SnapshotReader(
        state_dir=state,
        env={},
        home=state.parent,
        clock=ManualClock(NOW),
        processes=SystemProcesses(),
        port_probe=None,
        extra_parts=(config_part, IncidentPart()),
    )
    found = reader.read()
    unexpected = [one.text for one in found.warnings if one.code == "unexpected"]
    assert not unexpected, unexpected
    assert json.dumps(report(found)).isascii()
    return [*plain_lines(found, NOW, 120), *incident_text(found, NOW, ()).split("\n")]


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _of_files() -> Path:
    return state_with_everything(_folder())


@cache
def _of_databases() -> Path:
    return unpacked("2026.9.6", "running", _folder() / "d").state_dir


def in_file(*names: str) -> Callable[[bytes, Random], Sequence[str]]:
    """A reader of one of these files, which is afterwards as it was."""

    def read(content: bytes, random: Random) -> Sequence[str]:
        place = _of_files() / random.choice(names)
        before = place.read_bytes()
        place.write_bytes(content)
        try:
            return shown_of(_of_files())
        finally:
            place.write_bytes(before)

    return read


def in_cell(*cells: tuple[str, str]) -> Callable[[bytes, Random], Sequence[str]]:
    """A reader of one of these cells, as text whatever its bytes are; afterwards it is as it was."""

    def read(content: bytes, random: Random) -> Sequence[str]:
        name, statement = random.choice(cells)
        path = _of_databases() / name
        beside = [Path(f"{path}{end}") for end in ("", "-wal", "-shm")]
        before = {place: place.read_bytes() for place in beside if place.exists()}
        with closing(sqlite3.connect(path, isolation_level=None)) as database, suppress(sqlite3.Error):
            database.execute("PRAGMA ignore_check_constraints=1")
            database.execute(statement.format("CAST(? AS TEXT)"), (content,))
        try:
            return shown_of(_of_databases())
        finally:
            for place in beside:
                place.unlink(missing_ok=True)
            for place, was in before.items():
                place.write_bytes(was)

    return read


def incident_file(content: bytes, random: Random) -> Sequence[str]:
    """A file that was pasted somewhere: the recording in it, or the text around it, is a stranger's."""
    packed = gzip.compress(content, 1) if random.random() < 0.9 else content
    path = _folder() / "incident.md"
    path.write_bytes(b"# Incident\n\n" + embedding(packed).encode() + b"\n" + content)
    found = load_recording(path)
    return [found.problem or ""]
