"""The version, with the commit of the build or of the checkout."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from clawtop import __version__

PACKAGE = Path(__file__).resolve().parent.parent
RECORDED = "commit.txt"
"""The file that a build writes into the package (`.ci/build_hook.py`)."""

_GIT_SECONDS = 2.0


def version_line(package: Path = PACKAGE) -> str:
    """`clawtop 0.1.0`, or `clawtop 0.1.0 (1a2b3c4d5e6f)`, with `+` after a commit that was changed since."""
    commit = _recorded(package) or _checked_out(package.parent)
    return f"clawtop {__version__}" + (f" ({commit})" if commit else "")


def commit_date(package: Path = PACKAGE) -> str:
    """The day of that commit, as `2026-11-28`; empty where it is not known."""
    recorded = _words(package)[1:2]
    found = recorded[0] if recorded else _git(package.parent, "log", "-1", "--format=%cs") or ""
    return found if re.fullmatch(r"\d{4}-\d\d-\d\d", found) else ""


def _recorded(package: Path) -> str | None:
    words = _words(package)
    return words[0][:41] if words else None


def _words(package: Path) -> list[str]:
    """What the build wrote down: the commit, and its day."""
    try:
        return (package / RECORDED).read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return []


def _checked_out(root: Path) -> str | None:
    """The commit of the checkout at `root`; None where it is none, or git is missing."""
    return _git(root, "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*")


def _git(root: Path, *words: str) -> str | None:
    """What git prints about the checkout at `root`; None where there is none, or no git."""
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
