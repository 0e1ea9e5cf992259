"""The operator's own command, run on a notice, so that an outage reaches a phone."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import threading
from collections.abc import Callable, Sequence

from clawtop.errors import UsageError
from clawtop.text import safe

LIMIT_S = 20.0
WAITING = 8
"""How many notices wait for a slow command; beyond that, the oldest are dropped."""

StartHook = Callable[[Sequence[str], str], None]
"""Run an argument vector with a notice's text, to its end."""


class NoticeHook:
    """Runs a command for each notice, one at a time, in a separate thread; nothing waits for it.

    The text is the last argument and the variable CLAWTOP_NOTICE. No shell reads it.
    """

    def __init__(self, command: str, start: StartHook | None = None) -> None:
        """Raises UsageError when `command` is not a command line."""
        try:
            self._argv = shlex.split(command)
        except ValueError as error:
            raise UsageError(f"on_notice is not a command line: {safe(error)}") from error
        if not self._argv:
            raise UsageError("on_notice is empty")
        self._start = start or _run
        self._waiting: list[str] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def missing(self) -> str | None:
        """The program that cannot be found or run; None if it can."""
        return None if shutil.which(self._argv[0]) else self._argv[0]

    def tell(self, text: str) -> None:
        """Run the command with this text. Never waits, never fails."""
        with self._changed:
            self._waiting = [*self._waiting, text][-WAITING:]
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="notices", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._thread = None
                    return
                text = self._waiting.pop(0)
            with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError):
                self._start([*self._argv, text], text)


def _run(argv: Sequence[str], text: str) -> None:
    subprocess.run(
        argv,
        env={**os.environ, "CLAWTOP_NOTICE": text},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=LIMIT_S,
        check=False,
        start_new_session=True,
    )
