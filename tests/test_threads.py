"""Signals that reach the event loop whatever else goes on."""

from __future__ import annotations

import asyncio
import os
import signal

from clawtop import threads

A_FULL_PIPE = 5_000
"""Calls from other threads that the loop has not seen yet; each leaves a byte in the pipe that wakes it."""


def test_a_signal_is_heard_while_the_loops_wake_up_pipe_is_full() -> None:
    async def main() -> list[str]:
        heard: list[str] = []
        threads.on_signal(signal.SIGUSR1, heard.append, "usr1")
        loop = asyncio.get_running_loop()
        for _ in range(A_FULL_PIPE):
            loop.call_soon_threadsafe(int)
        os.kill(os.getpid(), signal.SIGUSR1)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return heard

    before = signal.getsignal(signal.SIGUSR1)
    try:
        assert threads.run(main()) == ["usr1"]
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL, "the loop took its handler back"
    finally:
        signal.signal(signal.SIGUSR1, before)
