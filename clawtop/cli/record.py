"""`clawtop record`: record to a file, without a screen."""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from clawtop import threads
from clawtop.cli.process import stop_event
from clawtop.errors import ClawtopError, UsageError

if TYPE_CHECKING:
    from clawtop.clock import Clock
    from clawtop.core.model import Snapshot
    from clawtop.engine.live.feed import Feed
    from clawtop.store.own.recording import Recorder


FLUSH_SECONDS = 5.0
INTERVAL_SECONDS = 1.0
"""A snapshot a second keeps a recorder that runs for days cheap; events are recorded with their own times."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="a new file (default: clawtop-recording-TIME.clawtop here); at 64 MiB it becomes FILE.1",
    )
    parser.add_argument("--seconds", type=float, metavar="S", help="stop after S seconds (default: at an interrupt)")


def run(args: argparse.Namespace) -> int:
    """Record until interrupted or the time is over. Exit 0; 3 when the state cannot be read or the file not written."""
    from clawtop import __version__
    from clawtop.cli.common import live_feed
    from clawtop.clock import SystemClock
    from clawtop.store.own.recording import Recorder
    from clawtop.text import safe

    if args.out == "-":
        raise UsageError("a recording is written to a file, not to a pipe", hint="name one: --out FILE")
    clock = SystemClock()
    reader, feed = live_feed(args, clock, interval=INTERVAL_SECONDS)
    reader.read()  # an unreadable directory is an error now, not an empty recording later
    started = clock.now_ms()
    path = Path(args.out or f"clawtop-recording-{datetime.fromtimestamp(started / 1000, UTC):%Y%m%dT%H%M%SZ}.clawtop")
    recorder = Recorder(path, started_at=started, clawtop_version=__version__)
    print(f"recording to {safe(str(path))}; interrupt to stop", file=sys.stderr)
    try:
        threads.run(_record(feed, recorder, clock, args.seconds))
    finally:
        recorder.close()
    print(f"{path.stat().st_size} bytes; open it with clawtop replay", file=sys.stderr)
    return 0


async def _record(feed: Feed, recorder: Recorder, clock: Clock, seconds: float | None) -> None:
    stop = stop_event()

    broken: list[ClawtopError] = []

    def failed(error: ClawtopError) -> None:
        print(f"clawtop: {error}", file=sys.stderr)

    def take(snapshot: Snapshot) -> None:
        try:
            recorder.add(snapshot)
        except ClawtopError as error:
            broken.append(error)
            stop.set()

    recording = asyncio.create_task(feed.run(take, failed))
    stopping = asyncio.create_task(stop.wait())
    try:
        async with clock.timeout(seconds):
            while not stop.is_set():
                with suppress(TimeoutError):
                    async with clock.timeout(FLUSH_SECONDS):
                        await asyncio.wait({recording, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if recording.done():
                    recording.result()
                if broken:
                    raise broken[0]
                recorder.flush()
    except TimeoutError:
        pass
    finally:
        for task in (recording, stopping):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
