"""Faults at the file system calls of this process: `os` answers once with an error, writes less, or is the last thing.

Every writer of clawtop reaches the disk through `os` (`store.door`, `store.atomic`, pathlib), so that is the seam.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

NAMES = (
    *("open", "write", "fsync", "rename", "replace", "link", "unlink", "mkdir", "chmod", "chown", "ftruncate"),
    *("close", "stat", "lstat", "read", "setxattr", "listxattr", "mkfifo"),
)
ERRORS = ("ENOSPC", "EIO", "EACCES", "EROFS", "EINTR", "EMFILE")
MODES = (*ERRORS, "short", "SIGKILL", "SIGSTOP")


class Seam:
    """Counts calls on what stands below a directory, and at one of them does what it is told.

    Attributes:
        calls: their names so far.
    """

    def __init__(self, root: Path, mode: str = "", at: int = 0) -> None:
        self._root, self._mode, self._at = str(root), mode, at
        self._mine: set[int] = set()
        self.calls: list[str] = []

    def install(self) -> None:
        """Put it between this process and the disk, for good."""
        for name in NAMES:
            setattr(os, name, self._around(name, getattr(os, name)))
        real = fcntl.flock
        fcntl.flock = self._around("flock", real)

    def _around(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if not self._concerns(arguments):
                return real(*arguments, **options)
            self.calls.append(name)
            if len(self.calls) == self._at:
                if self._mode == "short" and name == "write":
                    return real(arguments[0], bytes(arguments[1])[: max(1, len(arguments[1]) // 2)])
                if self._mode in ERRORS:
                    if name == "close":
                        real(*arguments, **options)
                        self._mine.discard(arguments[0])
                    number = getattr(errno, self._mode)
                    raise OSError(number, os.strerror(number), None if isinstance(arguments[0], int) else arguments[0])
                if self._mode in {"SIGKILL", "SIGSTOP"}:
                    os.kill(os.getpid(), getattr(signal, self._mode))
            result = real(*arguments, **options)
            if name == "open":
                self._mine.add(result)
            elif name == "close":
                self._mine.discard(arguments[0])
            return result

        return call

    def _concerns(self, arguments: tuple[Any, ...]) -> bool:
        first = arguments[0] if arguments else None
        if isinstance(first, int):
            return first in self._mine
        return isinstance(first, str | bytes | os.PathLike) and os.fsdecode(first).startswith(self._root)
