"""`clawtop --version` names the commit of a build or of a checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from clawtop import __version__
from clawtop.cli.main import run
from clawtop.cli.version import commit_date, version_line


@pytest.fixture
def package(tmp_path: Path) -> Path:
    made = tmp_path / "clawtop"
    made.mkdir()
    return made


def test_neither_a_build_nor_a_checkout(package: Path) -> None:
    assert version_line(package) == f"clawtop {__version__}"


def test_a_build_wrote_its_commit_down(package: Path) -> None:
    (package / "commit.txt").write_text("1a2b3c4d5e6f+ 2026-11-28\n")
    assert version_line(package) == f"clawtop {__version__} (1a2b3c4d5e6f+)"
    assert commit_date(package) == "2026-11-28"


def test_a_file_that_is_not_ours_is_no_commit(package: Path) -> None:
    (package / "commit.txt").write_bytes(b"\xff\x1b[2J")
    assert version_line(package) == f"clawtop {__version__}"
    assert commit_date(package) == ""


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_checkout_names_where_it_stands_and_whether_it_changed(package: Path) -> None:
    def git(*words: str) -> str:
        identity = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")
        command = ["git", *identity, "-C", str(package.parent), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    (package / "a.py").write_text("1\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    commit = git("rev-parse", "HEAD")[:12]
    assert version_line(package) == f"clawtop {__version__} ({commit})"
    assert commit_date(package) == git("log", "-1", "--format=%cs")
    (package / "a.py").write_text("2\n")
    assert version_line(package) == f"clawtop {__version__} ({commit}+)"


def test_the_option_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith(f"clawtop {__version__}")


@pytest.mark.long
@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_wheel_built_from_this_checkout_says_from_which_commit(tmp_path: Path) -> None:
    """Built as `pipx install .` does, with the build backend from the package index."""
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(tmp_path), str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if "No matching distribution found for hatchling" in done.stderr:
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("clawtop_tui-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "installed")
    assert version_line(tmp_path / "installed" / "clawtop") == version_line()
    assert "(" in version_line()
    assert commit_date(tmp_path / "installed" / "clawtop") == commit_date() != ""
