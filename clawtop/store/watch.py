"""When something changed: native notifications on exact directories, with a slow poll as the safety net.

Transcripts grow with every streamed token without changing the screen, so their changes are not reported; writers
of everything else rename files into place, which is why directories are watched and not files.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from watchfiles import Change, awatch

from clawtop.errors import ClawtopError
from clawtop.text import shown

STEP_MS = 25
"""How often the watcher looks for events; they are collected for at most two steps. A change is told after 40 ms, 52 at
most in 19 of 20 cases; with twice the step after 80 and 101, for 0.08 % of a core less.
"""

FileStamp = tuple[int, int, int]


class WatchFailedError(ClawtopError):
    """Native notifications are not available (inotify limit, a file name that is not UTF-8): poll instead."""


class Changed(NamedTuple):
    """A path that changed. `appeared`: it was not there before (2026.5.18 and later hold a session lock for 1 to
    100 ms at a time, so often only its appearance can be seen)."""

    path: str
    appeared: bool


def interesting(name: str) -> bool:
    """Whether a change of this file can change a snapshot."""
    if name.endswith((".tmp", "-shm", ".lock.sqlite-journal")) or name.startswith(".fs-safe-replace."):
        return False
    return not name.endswith(".jsonl") or name == "journal.jsonl"


async def changes(directories: Iterable[Path], stop: Any, *, step_ms: int = STEP_MS) -> AsyncIterator[list[Changed]]:
    """Yield each batch of interesting changes until the event `stop` (asyncio's) is set. Raises WatchFailedError."""
    existing = [path for path in directories if path.is_dir()]
    if not existing:
        return
    try:
        async for batch in awatch(
            *existing,
            watch_filter=lambda _change, path: interesting(os.path.basename(path)),  # noqa: PTH119 - a str, in a hot path
            step=step_ms,
            debounce=2 * step_ms,
            recursive=False,
            stop_event=stop,
        ):
            yield [Changed(path, change is Change.added) for change, path in batch]
    except (OSError, RuntimeError, ValueError, UnicodeError) as error:
        raise WatchFailedError(f"native file notifications failed ({shown(error, 120)})") from error


class Poll:
    """Compares (mtime_ns, size, inode) of everything interesting in the watched directories.

    A directory is listed again only when its own stamp moved, so that a quiet poll is a few hundred stats.
    """

    def __init__(self) -> None:
        self._directories: dict[Path, tuple[FileStamp | None, tuple[str, ...]]] = {}
        self._stamps: dict[str, FileStamp | None] = {}

    def changed(self, directories: Iterable[Path]) -> bool:
        """Whether anything may have moved since the last call.

        True on the first one: what moved between the first read and this was reported by nobody.
        """
        stamps: dict[str, FileStamp | None] = {}
        for directory in directories:
            stamp = _stamp(directory)
            known, names = self._directories.get(directory, (None, ()))
            if stamp is None or stamp != known:
                names = _names(directory)
                self._directories[directory] = (stamp, names)
            stamps[str(directory)] = stamp
            stamps.update((name, _stamp(name)) for name in names)
        moved = stamps != self._stamps
        self._stamps = stamps
        return moved


def _names(directory: Path) -> tuple[str, ...]:
    with suppress(OSError), os.scandir(directory) as entries:
        return tuple(entry.path for entry in entries if interesting(entry.name))
    return ()


def _stamp(path: str | Path) -> FileStamp | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - thousands of plain strings
    except (OSError, ValueError):
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino)
