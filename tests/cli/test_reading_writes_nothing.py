"""What a reading verb and the dashboard ask of the kernel: nothing that makes, changes or removes a file."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.samples import GENERATIONS, copy, packed, sample, unpacked
from tests.support.stores import tree
from tests.support.terminals import OVERVIEW, clawtop, open_terminal, plain_environment

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(sys.platform != "linux" or shutil.which("strace") is None, reason="needs strace"),
]
CHANGES = frozenset(
    {
        *("creat", "unlink", "unlinkat", "rename", "renameat", "renameat2", "mkdir", "mkdirat", "rmdir", "link"),
        *("linkat", "symlink", "symlinkat", "mknod", "mknodat", "chmod", "fchmod", "fchmodat", "chown", "fchown"),
        *("fchownat", "utimensat", "truncate", "ftruncate", "fallocate", "setxattr", "fsetxattr", "pwrite64"),
    }
)
OPENS_TO_WRITE = re.compile(r"open(?:at)?\(.*O_(?:WRONLY|RDWR|CREAT|TRUNC|TMPFILE)")
DEVICES = re.compile(r'"/dev/(?:null|tty|ptmx|pts/\d+)"')
LOG_OF_SQLITE = re.compile(r'openat\(AT_FDCWD(?:<[^>]*>)?, "([^"]+\.sqlite-wal)", O_RDWR\|O_CREAT\|')
"""SQLite asks so for the log of a database, whatever the database is opened for; clawtop lets it only if it is there.
As root it then gives the log and the shared memory the owner of their database.
"""
STATES = (
    *(("2026.3.28", "rate-limited"), ("2026.5.20", "rate-limited"), ("2026.6.11", "multi-agent")),
    *(("2026.9.6", "crash"), ("2026.9.6", "half-migrated")),
)
VERBS = (
    *(
        "status",
        "status --json",
        "status --check",
        "doctor",
        "explain profile fakeai:one",
        "drive --list",
        "bundle --out -",
    ),
    *("clear fakeai:one --dry-run", "drain agent:main:main --dry-run", "undo --dry-run", "completion --list sessions"),
)


def laid_out(version: str, scenario: str, where: Path) -> Path:
    """A copy of a sample's state directory."""
    if (version, scenario) in packed():
        return unpacked(version, scenario, where).state_dir
    return copy(sample(version, scenario), where).state_dir


def test_every_generation_is_among_them() -> None:
    assert {GENERATIONS[version] for version, _ in STATES} == set(GENERATIONS.values())


def traced(out: Path) -> list[str]:
    """How strace is asked for the calls that could change something."""
    calls = ",".join(("open", "openat", *CHANGES))
    return ["strace", "-f", "--seccomp-bpf", "-qq", "-y", "-e", f"trace={calls}", "-e", "signal=none", "-o", str(out)]


def wrong(out: Path) -> list[str]:
    """The traced calls that a reader must not make."""
    found = []
    for line in out.read_text(errors="replace").splitlines():
        call = line.split(maxsplit=1)[1]
        name = call.partition("(")[0]
        log = LOG_OF_SQLITE.match(call)
        if "__pycache__" in call or DEVICES.search(call) or (log and "O_EXCL" not in call):
            continue
        if name == "fchown" and re.search(r"\.sqlite-(wal|shm)>", call):
            continue
        if OPENS_TO_WRITE.match(call) or name in CHANGES:
            found.append(call)
    return found


@pytest.mark.parametrize(("version", "scenario"), STATES, ids=lambda word: word)
def test_reading_verbs_ask_the_kernel_for_no_change(tmp_path: Path, version: str, scenario: str) -> None:
    state_dir = laid_out(version, scenario, tmp_path)
    before, out = tree(state_dir), tmp_path / "trace"
    environment = plain_environment() | {"HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    for words in VERBS:
        subprocess.run(
            [*traced(out), *clawtop(*words.split(), "--state-dir", str(state_dir))],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert wrong(out) == [], words
    assert tree(state_dir) == before


@pytest.mark.parametrize(("version", "scenario"), STATES, ids=lambda word: word)
def test_a_dashboard_that_only_reads_asks_the_kernel_for_no_change(tmp_path: Path, version: str, scenario: str) -> None:
    state_dir = laid_out(version, scenario, tmp_path)
    before, out = tree(state_dir), tmp_path / "trace"
    argv = [*traced(out), *clawtop(*OVERVIEW, "--state-dir", str(state_dir))]
    environment = {"HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    with open_terminal(argv, environment=environment) as terminal:
        terminal.wait_open("PROFILES", 100)
        for key, seen in (
            ("2", "2 ▸Tree"),
            ("3", "3 ▸Lanes"),
            ("4", "4 ▸Timeline"),
            ("5", "5 ▸Forecast"),
            ("w", "w ▸"),
        ):
            terminal.send(key)
            terminal.wait_for(seen)
        terminal.send("1a?")
        terminal.wait_for("Help")
        terminal.send("qq")
        assert terminal.exit_code() == 0
    assert wrong(out) == []
    assert tree(state_dir) == before
