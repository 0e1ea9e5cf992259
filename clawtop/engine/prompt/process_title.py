"""The process title while clawtop holds session locks in an OpenClaw directory.

OpenClaw 2026.5.18 to 2026.7.1 removes a session lock whose live owner does not look like OpenClaw, within
milliseconds. A command line that ends in `/openclaw` is accepted (measured on 2026.5.20 and 2026.6.11). So the title
is changed before the first lock is published and put back after the last one is released.

Mutable state: `_claims` and `_original`, guarded by `_guard`.
"""

from __future__ import annotations

import threading
from pathlib import Path

import setproctitle

from clawtop.core.locks.session_rules import CLAWTOPS_TITLE

TITLE = CLAWTOPS_TITLE

_guard = threading.Lock()
_claims = 0
_original = ""


def look_like_openclaw() -> None:
    """Look like OpenClaw until `restore_title` has been called as many times as this function."""
    global _claims, _original  # noqa: PLW0603 - the title belongs to the whole process
    with _guard:
        _claims += 1
        if _claims == 1:
            _original = setproctitle.getproctitle()
            setproctitle.setproctitle(TITLE)


def restore_title() -> None:
    """Undo one `look_like_openclaw`; the last one restores the title."""
    global _claims  # noqa: PLW0603 - as above
    with _guard:
        _claims -= 1
        if _claims == 0:
            setproctitle.setproctitle(_original)


def can_look_like_openclaw() -> bool:
    """Whether a changed title is what others see: the first word of this process's command line, if the system shows
    it.
    """
    look_like_openclaw()
    try:
        shown = Path("/proc/self/cmdline").read_bytes().split(b"\0")[0].decode("utf-8", "replace")
    except OSError:
        shown = setproctitle.getproctitle()
    finally:
        restore_title()
    return shown == TITLE
