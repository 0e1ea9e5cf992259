"""The same faults at the system calls that SQLite makes: its own door for tests (`xSetSystemCall`), through ctypes."""

from __future__ import annotations

import _sqlite3
import ctypes
import errno
import os
import signal
from collections.abc import Callable
from typing import Any

from tests.faults.seam import ERRORS, Seam

_LONG, _INT = ctypes.c_ssize_t, ctypes.c_int
_SHAPES: dict[str, tuple[Any, ...]] = {
    "open": (_INT, ctypes.c_char_p, _INT, _INT),
    "pread": (_LONG, _INT, ctypes.c_void_p, ctypes.c_size_t, _LONG),
    "pread64": (_LONG, _INT, ctypes.c_void_p, ctypes.c_size_t, _LONG),
    "pwrite": (_LONG, _INT, ctypes.c_void_p, ctypes.c_size_t, _LONG),
    "pwrite64": (_LONG, _INT, ctypes.c_void_p, ctypes.c_size_t, _LONG),
    "write": (_LONG, _INT, ctypes.c_void_p, ctypes.c_size_t),
    "ftruncate": (_INT, _INT, _LONG),
    "fcntl": (_INT, _INT, _INT, ctypes.c_void_p),
    "fstat": (_INT, _INT, ctypes.c_void_p),
    "fchmod": (_INT, _INT, _INT),
    "unlink": (_INT, ctypes.c_char_p),
    "close": (_INT, _INT),
}
"""Result and arguments of each call, as unix has them."""


class _Vfs(ctypes.Structure):
    _fields_ = (
        ("iVersion", _INT),
        ("szOsFile", _INT),
        ("mxPathname", _INT),
        ("pNext", ctypes.c_void_p),
        ("zName", ctypes.c_char_p),
        ("pAppData", ctypes.c_void_p),
        *((name, ctypes.c_void_p) for name in ("xOpen", "xDelete", "xAccess", "xFullPathname", "xDlOpen", "xDlError")),
        *((name, ctypes.c_void_p) for name in ("xDlSym", "xDlClose", "xRandomness", "xSleep", "xCurrentTime")),
        *(
            (name, ctypes.c_void_p)
            for name in ("xGetLastError", "xCurrentTimeInt64", "xSetSystemCall", "xGetSystemCall")
        ),
    )


class DatabaseSeam(Seam):
    """Counts SQLite's calls on what stands below a directory beside the ones that Python makes."""

    def install(self) -> None:
        super().install()
        library = ctypes.CDLL(_sqlite3.__file__)
        library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        vfs = library.sqlite3_vfs_find(None)
        get = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(vfs.contents.xGetSystemCall)
        put = ctypes.CFUNCTYPE(_INT, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(vfs.contents.xSetSystemCall)
        self._kept: list[Any] = []  # what SQLite calls must not be collected
        for name, shape in _SHAPES.items():
            address = get(vfs, name.encode())
            if address is None:
                continue
            kind = ctypes.CFUNCTYPE(*shape, use_errno=True)
            ours = kind(self._instead_of(name, kind(address)))
            self._kept.append(ours)
            assert put(vfs, name.encode(), ctypes.cast(ours, ctypes.c_void_p)) == 0, name

    def _instead_of(self, name: str, real: Callable[..., int]) -> Callable[..., int]:
        def call(*arguments: Any) -> int:
            if not self._concerns(arguments):
                return real(*arguments)
            self.calls.append(f"SQLite's {name}")
            if len(self.calls) == self._at:
                if self._mode == "short" and "write" in name:
                    return real(*arguments[:2], max(1, arguments[2] // 2), *arguments[3:])
                if self._mode in ERRORS:
                    if name == "close":
                        real(*arguments)
                        self._mine.discard(arguments[0])
                    ctypes.set_errno(getattr(errno, self._mode))
                    return -1
                if self._mode in {"SIGKILL", "SIGSTOP"}:
                    os.kill(os.getpid(), getattr(signal, self._mode))
            result = real(*arguments)
            if name == "open" and result >= 0:
                self._mine.add(result)
            elif name == "close":
                self._mine.discard(arguments[0])
            return result

        return call
