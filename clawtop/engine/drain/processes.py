"""Stopping a run that has its own processes below the gateway (command-line backends): SIGTERM, then SIGKILL."""

from __future__ import annotations

import asyncio
import signal

from clawtop.clock import Clock
from clawtop.core.session.remedies import OwnProcess
from clawtop.store.locks.stack import stack_below

TERM_SECONDS = 5.0
KILL_SECONDS = 2.0
LOOK_SECONDS = 0.1


async def stop_stack(process: OwnProcess, gateway_pid: int, clock: Clock) -> str:
    """Stop a process and everything below it, if it is below the gateway and still the same; returns the outcome in
    words. What outlives its parent is stopped as well.
    """
    pid = process.pid
    stack = await asyncio.to_thread(stack_below, gateway_pid, pid, process.since)
    if stack is None:
        seen = f"the one seen under the gateway (pid {gateway_pid})"
        return f"process {pid} is not {seen}, or clawtop runs under it: not touched"
    for number, seconds in ((signal.SIGTERM, TERM_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
        await asyncio.to_thread(stack.signal, number)
        until = clock.monotonic() + seconds
        while (left := stack.living()) and clock.monotonic() < until:
            await clock.sleep(LOOK_SECONDS)
            if number is signal.SIGKILL:  # one may have been born between the look and its parent's end
                await asyncio.to_thread(stack.signal, number)
        if not left:
            return f"process {pid} and its children are gone ({number.name})"
    return f"still there after SIGKILL: {', '.join(map(str, left))}"
