"""How a writer in a process of its own is begun and ended by the test that started it."""

from __future__ import annotations

import sys
import threading


def begun(*, counted: bool) -> threading.Event:
    """Say that this process is ready, and wait for the word to begin. The event comes with the end of standard input,
    unless the work is `counted`.
    """
    ended = threading.Event()
    print("ready", flush=True)
    sys.stdin.readline()
    if not counted:

        def until_closed() -> None:
            sys.stdin.read()
            ended.set()

        threading.Thread(target=until_closed, daemon=True).start()
    return ended
