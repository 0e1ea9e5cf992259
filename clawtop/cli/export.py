"""`clawtop export`: metrics for Prometheus, over HTTP or as a text file; alert rules; a Grafana dashboard.

While it runs, the operator's `on_notice` command gets the notices that a dashboard would give.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from clawtop import threads
from clawtop.cli.output_file import put_file
from clawtop.cli.process import stop_event
from clawtop.clock import Clock, SystemClock
from clawtop.errors import ClawtopError, OperationFailedError, UsageError

if TYPE_CHECKING:
    from clawtop.cli.alarm import Alarm
    from clawtop.core.model import Snapshot
    from clawtop.export.exposition import Exporter

DEFAULT_PORT = 9477
TEXTFILE_SECONDS = 15.0
"""How often the file is written when nothing changes; otherwise its ages and countdowns would not advance."""

INTERVAL_SECONDS = 1.0
"""Scrapes are seconds apart: one snapshot a second is enough."""

ALARM_SECONDS = 2.0
"""How soon a change of the state reaches the `on_notice` command."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--listen",
        metavar="ADDRESS:PORT",
        help=f"serve /metrics here (default: 127.0.0.1:{DEFAULT_PORT}, reachable from this host only)",
    )
    where.add_argument("--textfile", metavar="PATH", type=Path, help="keep this file current for the node exporter")
    where.add_argument("--rules", action="store_true", help="print alert rules for Prometheus")
    where.add_argument("--dashboard", action="store_true", help="print a dashboard for Grafana")
    parser.add_argument(
        "--once", action="store_true", help="with --textfile: write it once; without: print the metrics once"
    )


def run(args: argparse.Namespace) -> int:
    """Export until interrupted. Exit 0; 3 if the port or the file is unavailable."""
    if args.rules:
        sys.stdout.write(files("clawtop.export").joinpath("rules.yml").read_text(encoding="utf-8"))
        return 0
    if args.dashboard:
        from clawtop.export.dashboard import dashboard

        sys.stdout.write(json.dumps(dashboard(), indent=2) + "\n")
        return 0
    address, port = _listening(args.listen)
    exporter_type = _exporter()
    clock = SystemClock()
    exporter = exporter_type(clock)
    if args.once:
        return _once(args, exporter)
    return threads.run(_export(args, exporter, clock, address, port))


def _exporter() -> type[Exporter]:
    try:
        from clawtop.export.exposition import Exporter
    except ModuleNotFoundError as error:
        raise UsageError(
            "exporting metrics needs the package prometheus-client", hint="install clawtop with its extra [export]"
        ) from error
    return Exporter


def _listening(text: str | None) -> tuple[str, int]:
    if text is None:
        return "127.0.0.1", DEFAULT_PORT
    address, _, port = text.rpartition(":")
    if not port.isdecimal() or not 0 <= int(port) <= 65_535:
        raise UsageError(f"--listen needs ADDRESS:PORT with a port up to 65535, not {text!r}"[:200])
    return address.strip("[]") or "127.0.0.1", int(port)


def _once(args: argparse.Namespace, exporter: Exporter) -> int:
    from clawtop.cli.common import load_whole_incident

    snapshot = load_whole_incident(args)
    exporter.take(snapshot, _spooled(snapshot))
    if args.textfile is None:
        sys.stdout.write(exporter.text().decode("ascii", "backslashreplace"))
    else:
        write_textfile(args.textfile, exporter.text())
    return 0


def write_textfile(path: Path, content: bytes) -> None:
    """Put `content` at `path` in one step, readable by everybody, as the node exporter requires.

    Raises OperationFailedError; the file is then unchanged.
    """
    put_file(
        path, content, 0o644, what="the text file", hint="name a file in a directory that is writable and has space"
    )


class TextFile:
    """The text file of an exporter that runs. Once a first write has succeeded, a disk that is full for a while does
    not end the exporter: it reports that once, and tries again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = False
        self._trouble = ""

    def write(self, content: bytes) -> None:
        """Write it now. Raises OperationFailedError if it has never been written."""
        try:
            write_textfile(self._path, content)
        except OperationFailedError as error:
            if not self._written:
                raise
            if str(error) != self._trouble:
                self._trouble = str(error)
                print(f"clawtop: {error}; trying again", file=sys.stderr, flush=True)
            return
        if self._trouble:
            print("clawtop: the text file is written again", file=sys.stderr, flush=True)
        self._written, self._trouble = True, ""


async def _export(args: argparse.Namespace, exporter: Exporter, clock: Clock, address: str, port: int) -> int:
    from clawtop.cli.alarm import alarm_of
    from clawtop.cli.common import live_feed

    alarm = alarm_of(args)
    latest: list[Snapshot] = []
    changed = asyncio.Event()
    _reader, feed = live_feed(args, clock, seen=exporter.seen, interval=INTERVAL_SECONDS)

    def deliver(snapshot: Snapshot) -> None:
        exporter.take(snapshot, _spooled(snapshot))
        latest[:] = [snapshot]
        changed.set()

    def failed(_error: ClawtopError) -> None:
        exporter.failed()

    async def write() -> None:
        file = TextFile(args.textfile)
        await changed.wait()
        while True:
            changed.clear()
            await asyncio.to_thread(file.write, exporter.text())
            await clock.sleep(1.0)
            with contextlib.suppress(TimeoutError):
                async with clock.timeout(TEXTFILE_SECONDS - 1.0):
                    await changed.wait()

    async def watch(alarm: Alarm) -> None:
        while True:  # time alone can cause a notice too: something has been blocked for long
            if latest and alarm.is_due(latest[0], now := latest[0].present(clock.now_ms())):
                await asyncio.to_thread(alarm.look, latest[0], now)
            await clock.sleep(ALARM_SECONDS)

    stop = stop_event()
    if args.textfile is None:
        server = exporter.serve(address, port)
        print(f"clawtop: metrics at http://{address}:{server.server_port}/metrics", file=sys.stderr, flush=True)
    work = [asyncio.create_task(feed.run(deliver, failed)), asyncio.create_task(stop.wait())]
    if args.textfile is not None:
        work.append(asyncio.create_task(write()))
    if alarm is not None:
        work.append(asyncio.create_task(watch(alarm)))
    done, pending = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for task in done:
        task.result()
    return 0


def _spooled(snapshot: Snapshot) -> int:
    """How many marks wait on disk."""
    from clawtop.store.own.mark_spool import spooled_marks

    return spooled_marks(snapshot.state_dir)
