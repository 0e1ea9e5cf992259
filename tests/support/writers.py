"""Starting and ending a writer process from the test that owns it."""

from __future__ import annotations

import sys
import threading


def begun(*, counted: bool) -> threading.Event:
    """Report that this process is ready, and wait for the signal to begin. The event is set at the end of standard
    input, unless the work is `counted`.
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
