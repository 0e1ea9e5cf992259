"""Operations on disks that really are full, read-only, or somebody else's."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from clawtop.cli.main import run
from tests.support.stores import COOLING, auth_state, make_state_dir, tree

ROOT = Path(__file__).resolve().parents[2]
MOUNT = """
set -e
mount -t tmpfs -o size=512k,mode=0700 tmpfs "$1/disk"
cp -a "$1/.openclaw" "$1/disk/state"
{spoil}
set +e
{python} -m clawtop --state-dir "$1/disk/state" clear fakeai:one --yes --json >"$1/out" 2>"$1/err"
echo $? >"$1/code"
cp -a "$1/disk/state" "$1/after"
"""
FULL = 'dd if=/dev/zero of="$1/disk/filler" bs=4k 2>/dev/null || true'
READ_ONLY = 'mount -o remount,ro "$1/disk"'


def namespaces() -> bool:
    """Whether this machine lets us mount a small disk of our own."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return False
    return subprocess.run([unshare, "-rm", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not namespaces(), reason="no private mounts on this machine")
@pytest.mark.parametrize(
    ("spoil", "why"), [(FULL, "No space left on device"), (READ_ONLY, "Read-only file system")], ids=["full", "ro"]
)
def test_a_spoiled_disk_is_exit_3_and_everything_stays(spoil: str, why: str, tmp_path: Path) -> None:
    directory = make_state_dir(tmp_path)
    (tmp_path / "disk").mkdir()
    script = MOUNT.format(spoil=spoil, python=sys.executable)
    command = ["unshare", "-rm", "sh", "-c", script, "sh", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)}, check=True, timeout=60)
    assert (tmp_path / "code").read_text().strip() == "3"
    error = json.loads((tmp_path / "out").read_text())["error"]
    assert why in error["title"]
    assert "nothing" in error["unchanged"] or "not changed" in error["unchanged"]
    left = {name: content for name, (content, _) in tree(tmp_path / "after").items() if not name.startswith("clawtop/")}
    assert left == {name: content for name, (content, _) in tree(directory).items()}


ON_A_MOUNT = """
set -e
mount --bind "$1/.openclaw" "$1/.openclaw"
mount -o remount,bind,ro "$1/.openclaw"
set +e
cd "$1"
shift
exec {python} -m clawtop --state-dir "$PWD/.openclaw" "$@"
"""
KEY = "agent:main:main"
REFUSED_ON_A_MOUNT = {
    "clear": (["clear", "fakeai:one", "--yes"], 3),
    "rotate": (["rotate", "fakeai", "--yes"], 3),
    "order": (["order", "fakeai", "fakeai:two", "--yes"], 3),
    "undo": (["undo", "--yes"], 3),
    "unlock": (["unlock", KEY, "--yes"], 3),
    "drain": (["drain", KEY, "--yes"], 3),
    "drain to a fresh session": (["drain", KEY, "--yes", "--fresh"], 3),
    "recover": (["recover", KEY, "--yes"], 1),
    "drive": (["drive", "--session", KEY, "--message", "hello"], 1),
}
"""What changes something in the state directory, and its exit code."""


@pytest.fixture
def stuck(tmp_path: Path) -> Path:
    """A state directory with a session that a dead process locked, and an operation that can be undone."""
    directory = make_state_dir(tmp_path)
    config = json.loads((directory / "openclaw.json").read_bytes())
    model = {"id": "m", "name": "m", "contextWindow": 64_000, "maxTokens": 2048}
    provider = {"baseUrl": "http://127.0.0.1:9/v1", "api": "openai-completions", "models": [model]}
    config["models"] = {"providers": {"fakeai": provider}}
    config["agents"]["defaults"] = {"model": {"primary": "fakeai/m"}}
    (directory / "openclaw.json").write_text(json.dumps(config))
    transcript = directory / "agents" / "main" / "sessions" / "abc.jsonl"
    transcript.write_text('{"type":"session","version":3,"id":"abc"}\n')
    entry = {"sessionId": "abc", "sessionFile": str(transcript), "updatedAt": 1, "status": "running"}
    (transcript.parent / "sessions.json").write_text(json.dumps({KEY: entry}))
    gone = subprocess.Popen(["true"])
    gone.wait()
    lock = {"pid": gone.pid, "createdAt": "2026-01-01T00:00:00.000Z"}
    Path(f"{transcript}.lock").write_text(json.dumps(lock))
    assert run(["rotate", "fakeai", "--yes", "--state-dir", str(directory)]) == 0
    return directory


@pytest.mark.skipif(not namespaces(), reason="no private mounts on this machine")
@pytest.mark.parametrize("name", REFUSED_ON_A_MOUNT)
def test_on_a_read_only_mount_the_disk_is_named_and_what_was_not_done(name: str, stuck: Path, tmp_path: Path) -> None:
    words, expected = REFUSED_ON_A_MOUNT[name]
    before = tree(stuck)
    script = ON_A_MOUNT.format(python=sys.executable)
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = ["unshare", "-rm", "sh", "-c", script, "sh", str(tmp_path), *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == expected, done.stderr
    assert "Read-only file system" in done.stderr
    assert str(stuck) in done.stderr
    assert re.search(r"(Nothing was changed|The session was not touched|No session was touched)\.", done.stderr)
    assert tree(stuck) == before


@pytest.fixture
def open_root() -> Iterator[Path]:
    """A temporary directory that another user may look into."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_users_store_is_exit_1_and_names_the_user(
    open_root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(open_root))
    monkeypatch.setenv("HOME", str(open_root))
    directory = make_state_dir(open_root)
    for path in (directory, *directory.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    before = tree(directory)
    assert (
        run(["clear", "fakeai:two", "--yes", "--state-dir", str(directory)]) == 0
    )  # loads what the other user may not
    capsys.readouterr()
    os.seteuid(65_534)
    try:
        code = run(["clear", "fakeai:one", "--yes", "--state-dir", str(directory)])
    finally:
        os.seteuid(0)
    assert code == 1
    assert "Run clawtop as root" in capsys.readouterr().err
    assert tree(directory) == before
    assert auth_state(directory)["usageStats"]["fakeai:one"] == COOLING
