"""Databases where little is allowed: mounts that are read-only, files of another user, and 100,000 sessions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import agent_database, other, run, state_database
from tests.support.samples import Sample, unpacked

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65_534

LOOK = """
import json, os, sqlite3, sys
from pathlib import Path
from clawtop.clock import SystemClock
from clawtop.core.operations.clear import clear_profile
from clawtop.engine.operations.execute import OperationRequest, Operations
from clawtop.errors import ClawtopError
from clawtop.store.locks.processes import SystemProcesses
from clawtop.store.own.journal import Journal
from clawtop.store.snapshot import SnapshotReader
from clawtop.view.report import report

directory = Path(sys.argv[1])
import clawtop.store.provider.keys, clawtop.store.sessions.rows  # while this user may read them
import clawtop.store.sqlite.database
if len(sys.argv) > 2:
    os.setegid(int(sys.argv[2]))
    os.seteuid(int(sys.argv[2]))

clock, processes = SystemClock(), SystemProcesses()
reader = SnapshotReader(
    state_dir=directory, env={}, home=directory.parent, clock=clock, processes=processes, port_probe=None
)
snapshot = reader.read()
said = report(snapshot)
try:
    plan = clear_profile(snapshot, "fakeai:one", agent="main")
    operations = Operations(lambda: reader.layout, journal=Journal(directory))
    operations.execute_now(plan, OperationRequest(verify_s=0))
    if not plan.is_empty:
        said["written"] = True
except ClawtopError as error:
    said["refused"] = [error.title, error.unchanged]
print(json.dumps(said))
"""


def looked(command: list[str], sample: Sample, *words: str) -> dict[str, Any]:
    """What a process of its own sees, and what becomes of a clear."""
    done = subprocess.run(
        [*command, sys.executable, "-c", LOOK, str(sample.state_dir), *words],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def seen(status: dict[str, Any]) -> dict[str, Any]:
    """What must be the same wherever it is read."""
    sessions = {row["key"]: (row["status"], row["updated_at"]) for row in status["sessions"]}
    profiles = {a["id"]: [(p["id"], p["windows"]) for p in a["profiles"]] for a in status["agents"]}
    return {"sessions": sessions, "profiles": profiles, "generation": status["generation"]}


def files(sample: Sample) -> dict[str, tuple[int, int]]:
    """Everything below the directory: size and time."""
    return {str(p): (p.lstat().st_size, p.lstat().st_mtime_ns) for p in sample.state_dir.rglob("*") if not p.is_dir()}


# --- a mount that is read-only ----------------------------------------------------------------------------------------


def read_only(path: Path) -> list[str]:
    """A command that runs what follows it where `path` is mounted read-only, in namespaces of its own."""
    mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, str(path)]


@pytest.fixture(scope="module")
def mounts(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("mount")
    try:
        done = subprocess.run([*read_only(place), "touch", str(place / "x")], capture_output=True, check=False)
    except OSError as error:
        pytest.skip(f"unshare is not to be had ({error.strerror})")
    if done.returncode == 0 or b"Read-only" not in done.stderr:
        pytest.skip(f"no mount in a namespace of our own: {done.stderr.decode(errors='replace')[:200]}")


def closed(sample: Sample) -> None:
    """As a gateway leaves them that was stopped: everything in the main files."""
    for place in (agent_database(sample.state_dir), state_database(sample.state_dir)):
        run(place, "PRAGMA wal_checkpoint(TRUNCATE)")
        for suffix in ("-wal", "-shm"):
            Path(f"{place}{suffix}").unlink(missing_ok=True)


def without_memory(sample: Sample) -> None:
    """A copy: the log is there, the shared memory is not."""
    for place in (agent_database(sample.state_dir), state_database(sample.state_dir)):
        Path(f"{place}-shm").unlink(missing_ok=True)


LAYOUTS: list[tuple[str, str, Callable[[Sample], None]]] = [
    ("2026.9.6", "rate-limited", closed),
    ("2026.9.6", "rate-limited", without_memory),
    ("2026.9.6", "running", without_memory),
    ("2026.6.11", "all-limited", closed),
    ("2026.6.11", "all-limited", without_memory),
]


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize(("version", "scenario", "lay"), LAYOUTS)
def test_on_a_read_only_mount_the_same_is_read_and_nothing_is_written(
    version: str, scenario: str, lay: Callable[[Sample], None], tmp_path: Path
) -> None:
    sample = unpacked(version, scenario, tmp_path)
    lay(sample)
    before = files(sample)
    there = looked(read_only(sample.state_dir), sample)
    assert files(sample) == before
    assert "written" not in there
    if scenario != "running":  # nothing is cooling there
        assert "nothing was" in there["refused"][1] or "not changed" in there["refused"][1], there["refused"]
    assert seen(there) == seen(looked([], sample))
    assert not [w for w in there["warnings"] if "database" in w["code"]]


@pytest.mark.usefixtures("mounts")
def test_beside_a_writer_a_read_only_mount_shows_what_it_committed(tmp_path: Path) -> None:
    sample = unpacked("2026.9.6", "rate-limited", tmp_path)
    place = agent_database(sample.state_dir)
    with other(place) as writer:
        for status in ("failed", "done"):
            writer.run("UPDATE session_nodes SET status=?, updated_at=updated_at+1", (status,))
            there = looked(read_only(sample.state_dir), sample)
            assert {row["status"] for row in there["sessions"] if row["agent"] == "main"} == {status}


# --- files of another user --------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_what_another_user_may_not_read_is_named() -> None:
    with tempfile.TemporaryDirectory() as place:  # nobody else passes through pytest's own: each run closes it again
        sample = unpacked("2026.9.6", "running", Path(place))
        for path in (Path(place), *Path(place).rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o600)
        there = looked([], sample, str(NOBODY))
    texts = [item["text"] for item in there["warnings"] if item["code"] == "generation-guessed"]
    assert any("openclaw.sqlite" in text and ("this user" in text or "denied" in text) for text in texts), there[
        "warnings"
    ]
    assert there["sessions"] == []
    assert "written" not in there


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_what_belongs_to_another_user_is_read_and_not_written(tmp_path: Path) -> None:
    sample = unpacked("2026.9.6", "rate-limited", tmp_path)
    for path in (sample.state_dir, *sample.state_dir.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    before = files(sample)
    there = looked([], sample)
    assert [row["key"] for row in there["sessions"]]
    assert "belongs to" in there["refused"][0] or "owner" in there["refused"][0], there["refused"]
    assert files(sample) == before
    assert {path.stat().st_uid for path in sample.state_dir.rglob("*")} == {NOBODY}
