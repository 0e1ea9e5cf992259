"""All calls through which clawtop changes a disk: a simulated disk replaces them here. They behave like the system
calls. Not included: reading, and what libraries do by themselves (SQLite, filelock).
"""

# ruff: noqa: PTH101, PTH102, PTH104, PTH108 - the calls themselves

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

StrPath = str | os.PathLike[str]


class Disk:
    """The disk of this machine. Each call raises OSError as the system does."""

    def open(self, path: StrPath, flags: int, mode: int = 0o777) -> int:
        """A descriptor, for reading too: opening a file for writing may create it."""
        return os.open(path, flags, mode)

    def write(self, descriptor: int, content: bytes | memoryview) -> int:
        return os.write(descriptor, content)

    def fsync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def ftruncate(self, descriptor: int, length: int) -> None:
        os.ftruncate(descriptor, length)

    def rename(self, source: StrPath, target: StrPath) -> None:
        os.rename(source, target)

    def link(self, source: StrPath, target: StrPath) -> None:
        os.link(source, target)

    def unlink(self, path: StrPath) -> None:
        os.unlink(path)

    def unlink_if_there(self, path: StrPath) -> None:
        try:
            self.unlink(path)
        except FileNotFoundError:
            return

    def mkdir(self, path: StrPath, mode: int = 0o777) -> None:
        os.mkdir(path, mode)

    def make_directories(self, path: Path, mode: int = 0o777) -> None:
        """Make `path`, and missing parents with the default mode; does nothing if it is a directory."""
        try:
            self.mkdir(path, mode)
        except FileNotFoundError:
            if path.parent == path:
                raise
            self.make_directories(path.parent)
            self.make_directories(path, mode)
        except OSError:
            if not path.is_dir():
                raise

    def mkfifo(self, path: StrPath, mode: int) -> None:
        os.mkfifo(path, mode)

    def chmod(self, path: StrPath, mode: int) -> None:
        os.chmod(path, mode)

    def chown(self, path: StrPath, uid: int, gid: int) -> None:
        """Of `path` itself, even if it is a link."""
        os.chown(path, uid, gid, follow_symlinks=False)

    def setxattr(self, path: StrPath, name: Any, value: bytes) -> None:
        os.setxattr(path, name, value)


disk = Disk()
"""The instance that all code uses; a simulation patches its methods."""


class DiskFile(io.RawIOBase):
    """An open descriptor as a file to be written, unbuffered; closed with it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return os.lseek(self._descriptor, offset, whence)

    def fileno(self) -> int:
        return self._descriptor

    def write(self, content: Any, /) -> int:
        return disk.write(self._descriptor, content)

    def close(self) -> None:
        if not self.closed:
            try:
                super().close()
            finally:
                os.close(self._descriptor)
