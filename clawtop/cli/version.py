"""The version, with the commit of the build or of the checkout."""

from __future__ import annotations

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


def _recorded(package: Path) -> str | None:
    try:
        words = (package / RECORDED).read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return None
    return words[0][:41] if words else None


def _checked_out(root: Path) -> str | None:
    """The commit of the checkout at `root`; None where it is none, or git is missing."""
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
