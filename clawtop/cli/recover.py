"""`clawtop recover`: wait for the holder of a stuck session and drain it, or copy it to a fresh session id."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

from clawtop import threads
from clawtop.cli import options, steered
from clawtop.cli.operation_output import confirm, print_json, print_lines, seconds
from clawtop.errors import LockNotObtainedError, UsageError
from clawtop.text import safe

if TYPE_CHECKING:
    from clawtop.core.model import Event
    from clawtop.core.session.drain import DrainStep
    from clawtop.core.session.recovery import SessionRecovery
    from clawtop.engine.drain.scene import DrainTarget
    from clawtop.store.snapshot import SnapshotReader

SCHEMA = 1
NOT_RECOVERED = LockNotObtainedError.exit_code
EXIT_CODES = """\
exit codes:
  0  the session or a copy of it is free, or it was not stuck
  1  refused
  2  not recovered: something still holds it
  3  the state cannot be read, or a step failed
  64 wrong command line

No message is ever sent again: recovery leaves a session that can take the next message."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXIT_CODES
    parser.add_argument("session", metavar="SESSION", help="a session key, or the path of a transcript")
    parser.add_argument(
        "--wait", metavar="S", type=seconds, default=60.0, help="seconds to wait for the holder (default: 60)"
    )
    parser.add_argument("--dry-run", action="store_true", help="show what is wrong and what would be done")
    options.yes(parser)
    options.json(parser)
    steered.add_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Recover. Exit codes as in the help. Raises UsageError, RefusedError, StateUnreadableError."""
    from clawtop.cli.common import open_incident_reader
    from clawtop.cli.drain import target_of
    from clawtop.engine.drain.recovery import assess, openclaw_would
    from clawtop.view.line import text_of
    from clawtop.view.recovery_lines import recovery_preview

    if args.at is not None:
        raise UsageError("recover works only on the live state", hint="leave out --at")
    reader = open_incident_reader(argparse.Namespace(**{**vars(args), "agent": None}))
    target = target_of(reader, args.session, args.agent)
    name = target.key or str(target.file)
    snapshot = reader.read()
    would, state = openclaw_would(snapshot, target), snapshot.gateway.state
    lines = recovery_preview(name, assess(snapshot, target), args.wait, would, state)
    preview = [text_of(line) for line in lines]
    if args.dry_run:
        if args.json:
            print_json({"schema": SCHEMA, "dry_run": True, "session": name, "preview": preview})
        else:
            print_lines(preview)
        return 0
    if not args.yes:
        confirm(preview)
    if args.steered is None:
        return _show(name, threads.run(_recover(args, reader, target)), args)
    try:
        return _show(name, threads.run(steered.until_told(_recover(args, reader, target))), args)
    except asyncio.CancelledError:
        return steered.stopped()


async def _recover(args: argparse.Namespace, reader: SnapshotReader, target: DrainTarget) -> SessionRecovery:
    from clawtop.cli.common import make_driver
    from clawtop.clock import SystemClock
    from clawtop.engine.drain.recovery import Telling, recover
    from clawtop.store.locks.processes import SystemProcesses

    def event(told: Event) -> None:
        if args.steered:
            steered.told_event(told)
        elif not args.json:
            print_lines([f"recover      {safe(told.text)}"])

    def step(done: DrainStep) -> None:
        if args.steered:
            steered.told_step(done)
        elif not args.json:
            print_lines([f"{done.stage:<12} {safe(done.text)}"])

    async with make_driver(args) as driver:
        return await recover(
            driver,
            reader,
            target,
            clock=SystemClock(),
            processes=SystemProcesses(),
            telling=Telling(event, step, lambda _wait, _left: None),
            wait_s=args.wait,
        )


def _show(name: str, done: SessionRecovery, args: argparse.Namespace) -> int:
    from clawtop.core.session.recovery import RecoveryMove
    from clawtop.view.line import text_of
    from clawtop.view.recovery_lines import recovery_lines

    code = 0 if done.free or done.fresh is not None or done.move is RecoveryMove.NOTHING else NOT_RECOVERED
    if args.json:
        facts = {"session": name, "move": done.move, "why": done.why, "free": done.free, "fresh": done.fresh}
        print_json({"schema": SCHEMA, **facts, "words": list(done.words), "exit_code": code})
    else:
        print_lines(text_of(line) for line in recovery_lines(name, done))
    return code
