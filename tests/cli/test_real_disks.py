"""Operations on disks that really are full, read-only, or somebody else's."""

from __future__ import annotations

import json
import os
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
