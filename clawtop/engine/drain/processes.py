"""Stopping a run that has its own processes below the gateway (command-line backends): SIGTERM, then SIGKILL."""

from __future__ import annotations

import asyncio
import signal

from clawtop.clock import Clock
from clawtop.store.locks.processes import stack_below

TERM_SECONDS = 5.0
KILL_SECONDS = 2.0
LOOK_SECONDS = 0.1


async def stop_stack(pid: int, gateway_pid: int, clock: Clock) -> str:
    """Stop a process and everything below it, if it is below the gateway; returns the outcome in words."""
    for number, seconds in ((signal.SIGTERM, TERM_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
        stack = await asyncio.to_thread(stack_below, gateway_pid, pid)
        if stack is None:
            return f"process {pid} is not a child of the gateway (pid {gateway_pid}): not touched"
        stack.signal(number)
        until = clock.monotonic() + seconds
        while (left := stack.living()) and clock.monotonic() < until:
            await clock.sleep(LOOK_SECONDS)
        if not left:
            return f"process {pid} and its children are gone ({number.name})"
    return f"still there after SIGKILL: {', '.join(map(str, left))}"
