"""`--steered ID`: a remote clawtop controls this verb: JSON lines in and out, and the end of stdin stops it.

Out: what the verb tells anyway, a `{"type": "beat"}` every few seconds, and one last line that says how it ended.
In: for a run first `{"message": text}`; then `{"rotate": true}`; for all `{"cancel": true}`. The id names the run or
the drain in the journal, so that a dashboard that lost the connection finds it there (`clawtop receipt ID`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from clawtop import nested, threads
from clawtop.cli.input import lines_of_input
from clawtop.clock import SystemClock
from clawtop.errors import ClawtopError, UsageError

if TYPE_CHECKING:
    from clawtop.core.model import Event, ModelRef
    from clawtop.core.session.drain import DrainStep, Wait
    from clawtop.engine.drive.driver import Drive, Driver

T = TypeVar("T")

SCHEMA = 1
MAX_LINE = 8 * 1024 * 1024
BEAT_S = 5.0
STOPPED_EXIT = 130


def add_argument(parser: argparse.ArgumentParser) -> None:
    """The option; it is for use between clawtops and hidden from help."""
    parser.add_argument("--steered", metavar="ID", type=_id, help=argparse.SUPPRESS)


def _id(text: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9-]{1,60}", text) is None:
        raise argparse.ArgumentTypeError("use letters, digits and dashes only")
    return text


def say(kind: str, **facts: Any) -> None:
    """One line for the other end. Raises BrokenPipeError when the other end is gone."""
    print(json.dumps({"schema": SCHEMA, "type": kind, **facts}), flush=True)


def told_step(step: DrainStep) -> None:
    say("step", at=step.at, stage=step.stage, text=step.text)


def told_event(event: Event) -> None:
    say("told", text=event.text)


class Waits:
    """Reports what is awaited, at most once a second."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._next = 0.0

    def __call__(self, wait: Wait, left_s: float) -> None:
        now = self._clock.monotonic()
        if now >= self._next:
            self._next = now + 1.0
            say("wait", why=wait.why, left_s=round(left_s, 1))


async def lines_of_stdin() -> AsyncIterator[dict[str, Any]]:
    """The JSON objects on stdin, until it ends or a line is no object."""
    reader = await lines_of_input(MAX_LINE)
    while True:
        try:
            line = await reader.readline()
            message = nested.loads(line) if line else None
        except ValueError:
            return
        if not isinstance(message, dict):
            return
        yield message


async def until_told(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` with heartbeats until it ends; cancelled when the other end asks for it or disappears."""
    task, stdin = asyncio.ensure_future(work), lines_of_stdin()

    async def listen() -> None:
        async for message in stdin:
            if message.get("cancel") is True:
                break
        task.cancel()

    return await _beside(task, listen())


async def _beside(task: asyncio.Future[T], listening: Coroutine[Any, Any, None]) -> T:
    others = [asyncio.ensure_future(listening), asyncio.ensure_future(_beat(task))]
    try:
        return await task
    finally:
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)


async def _beat(task: asyncio.Future[Any]) -> None:
    clock = SystemClock()
    try:
        while True:
            say("beat")
            await clock.sleep(BEAT_S)
    except OSError:
        task.cancel()


def stopped() -> int:
    """Print the last line of a stopped verb. Returns the exit code."""
    with contextlib.suppress(OSError):
        say("cancelled", exit_code=STOPPED_EXIT)
    return STOPPED_EXIT


def drive(args: argparse.Namespace, model: ModelRef | None) -> int:
    """One turn whose message comes on stdin."""
    from clawtop.cli.drive_output import JsonOutput, stop_exit
    from clawtop.cli.driving import exit_code, open_driver, turn_request

    output = JsonOutput()

    async def turn(driver: Driver) -> int:
        async with driver:
            stdin = lines_of_stdin()
            first: dict[str, Any] = await anext(stdin, {})
            if not isinstance(first.get("message"), str):
                raise UsageError("no message on stdin")
            request = turn_request(args, args.session, first["message"], model=model)
            run = driver.drive(replace(request, run_id=args.steered))

            run.listen(output.item)

            async def follow() -> int:
                answer = await run.result()
                output.answer(answer)
                return stop_exit(answer)

            return await _beside(asyncio.ensure_future(follow()), _steer(run, stdin))

    try:
        return threads.run(turn(open_driver(args, output)))
    except ClawtopError as error:
        code = exit_code(error)
        output.failed(error, code, "")
        return code
    except asyncio.CancelledError:
        return stopped()


async def _steer(run: Drive, stdin: AsyncIterator[dict[str, Any]]) -> None:
    async for message in stdin:
        if message.get("cancel") is True:
            break
        if message.get("rotate") is True:
            say("rotated", why=run.rotate())
    run.cancel()
