"""`clawtop drain`: free a stuck session in guided stages, and prove that it is free."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from typing import TYPE_CHECKING, Any

from clawtop import threads
from clawtop.cli import options, steered
from clawtop.cli.operation_output import confirm, print_json, print_lines, seconds
from clawtop.errors import LockNotObtainedError, RefusedError, UsageError
from clawtop.text import safe

if TYPE_CHECKING:
    from clawtop.core.session.drain import DrainListener, DrainOutcome, DrainStep, DrainWishes, Wait
    from clawtop.engine.drain.drainer import Drainer
    from clawtop.engine.drain.scene import DrainTarget
    from clawtop.store.snapshot import SnapshotReader

SCHEMA = 1
NOT_RELEASED = LockNotObtainedError.exit_code
EXIT_CODES = """\
exit codes:
  0  drained: nothing holds the session, and that is proven
  1  refused
  2  aborted, NOT released: something still held it at the deadline
  3  the state cannot be read, or a step failed
  64 wrong command line
  130 stopped by the operator: NOT released

The session is closed to clawtop's engines while this runs, and reopened when it ends, however it ends."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXIT_CODES
    parser.add_argument("session", nargs="?", metavar="SESSION", help="a session key, or the path of a transcript")
    parser.add_argument("--resume", metavar="ID", help="resume a drain that lost its terminal")
    parser.add_argument("--dry-run", action="store_true", help="show what holds the session and what would be done")
    options.yes(parser)
    options.json(parser)
    parser.add_argument(
        "--deadline", metavar="S", type=seconds, default=60.0, help="seconds before it gives up (default: 60)"
    )
    parser.add_argument(
        "--still",
        metavar="S",
        type=seconds,
        default=3.0,
        help="seconds without any change before it counts as drained (default: 3)",
    )
    parser.add_argument(
        "--stop-after",
        metavar="S",
        type=seconds,
        help="seconds before a run is asked to stop (default: half the deadline)",
    )
    parser.add_argument(
        "--gateway-abort",
        action="store_true",
        help="have the gateway abort its run; what waits behind it may be dropped",
    )
    parser.add_argument(
        "--stop-processes",
        action="store_true",
        help="stop a run's own processes under the gateway: SIGTERM, then SIGKILL",
    )
    steered.add_argument(parser)
    after = parser.add_mutually_exclusive_group()
    after.add_argument("--fresh", action="store_true", help="once drained, copy the conversation to a fresh session id")
    after.add_argument("--reopen", action="store_true", help="once drained, only reopen the session (the default)")


def run(args: argparse.Namespace) -> int:
    """Drain. Exit codes as in the help.

    Raises:
        UsageError: not exactly one of SESSION and --resume, or --at.
        RefusedError: there is no such session or drain, or the operator did not agree.
    """
    from clawtop.cli.common import open_incident_reader
    from clawtop.core.generations import storage_of
    from clawtop.engine.drain.drainer import DrainWishes, resumable

    if (args.session is None) == (args.resume is None):
        raise UsageError("name a session, or --resume ID")
    if args.at is not None:
        raise UsageError("drain works only on the live state", hint="leave out --at")
    reader = open_incident_reader(argparse.Namespace(**{**vars(args), "agent": None}))
    target = (
        target_of(reader, args.session, args.agent)
        if args.resume is None
        else resumable(reader.layout.state_dir, args.resume)
    )
    drainer = make_drainer(
        args,
        reader,
        target,
        DrainWishes(args.deadline, args.still, args.stop_after, args.gateway_abort, args.fresh, args.stop_processes),
        drain_id=args.resume or args.steered,
        listener=_listener(args),
    )
    if args.fresh and not storage_of(reader.layout.generation).session_files:
        raise RefusedError(
            "only OpenClaw can create a session in its database", unchanged="nothing was done", hint="leave out --fresh"
        )
    if args.dry_run:
        _show_preview(drainer, args)
        return 0
    if not args.yes:
        confirm(_preview(drainer, args))
    if args.steered is None:
        return _show(drainer.target, threads.run(drainer.drain()), args)
    try:
        return _show(drainer.target, threads.run(steered.until_told(drainer.drain())), args)
    except asyncio.CancelledError:
        return steered.stopped()


def make_drainer(
    args: argparse.Namespace,
    reader: SnapshotReader,
    target: DrainTarget,
    wishes: DrainWishes,
    *,
    listener: DrainListener,
    drain_id: str | None = None,
) -> Drainer:
    """A drain with the machine's clock, processes and gateway."""
    from clawtop.cli.common import make_caller, registry_of
    from clawtop.clock import SystemClock
    from clawtop.engine.drain.drainer import Drainer, new_drain_id
    from clawtop.engine.etcd.choice import shared_records
    from clawtop.store.locks.processes import SystemProcesses

    return Drainer(
        reader,
        target,
        wishes,
        drain_id=drain_id or new_drain_id(),
        clock=SystemClock(),
        processes=SystemProcesses(),
        caller=make_caller(args, reader),
        shared=shared_records(registry_of(args), SystemClock()),
        listener=listener,
    )


def _listener(args: argparse.Namespace) -> DrainListener:
    from clawtop.core.session.drain import DrainListener

    if args.steered:
        return DrainListener(steered.told_step, steered.Waits())
    if args.json:
        return DrainListener()
    return DrainListener(_tell_step, _Countdown()) if sys.stderr.isatty() else DrainListener(_tell_step)


def target_of(reader: SnapshotReader, session: str, agent: str | None) -> DrainTarget:
    """The session named by its key or its transcript. Raises RefusedError if there is none."""
    from clawtop.cli.common import unknown_session
    from clawtop.core.generations import storage_of
    from clawtop.engine.drain.scene import DrainTarget
    from clawtop.engine.drive.session_choice import choose_session
    from clawtop.store.own.admissions import read_admission
    from clawtop.store.own.presence import holders_dir

    if not storage_of(reader.layout.generation).session_files:
        return _row_target(reader, session, agent)
    choice = choose_session(reader.layout, session, agent)
    known = choice.row is not None or choice.file.exists() or os.path.lexists(f"{choice.file}.lock")
    if not known and read_admission(holders_dir(reader.layout.state_dir), str(choice.file)) is None:
        raise unknown_session(reader.read(), session, "nothing was done")
    return DrainTarget(choice.agent.id, choice.key, choice.file)


def _row_target(reader: SnapshotReader, session: str, agent: str | None) -> DrainTarget:
    """Like `target_of`, where sessions are rows of a database."""
    from pathlib import Path

    from clawtop.cli.common import unknown_session
    from clawtop.cli.drive_gateway import session_key
    from clawtop.engine.drain.scene import DrainTarget

    snapshot = reader.read()
    key = session_key(reader, snapshot, session, agent)
    row = next((row for row in snapshot.sessions if row.key == key), None)
    if row is None or row.file is None:
        raise unknown_session(snapshot, key, "nothing was done")
    return DrainTarget(row.agent, row.key, Path(row.file))


def _show_preview(drainer: Drainer, args: argparse.Namespace) -> None:
    if args.json:
        lines = drainer.preview().lines
        print_json(
            {
                "schema": SCHEMA,
                "dry_run": True,
                "target": _target_json(drainer.target),
                "preview": list(lines[args.gateway_abort]),
                "preview_with_gateway_abort": list(lines[True]),
            }
        )
    else:
        print_lines(_preview(drainer, args))


def _preview(drainer: Drainer, args: argparse.Namespace) -> list[str]:
    name = f"drain {safe(drainer.target.key or drainer.target.file)}"
    return [name, *drainer.preview().lines[args.gateway_abort]]


def _show(target: DrainTarget, outcome: DrainOutcome, args: argparse.Namespace) -> int:
    code = 0 if outcome.released else NOT_RELEASED
    if args.json:
        print_json(
            {
                "schema": SCHEMA,
                "drain": outcome.drain_id,
                "target": _target_json(target),
                "outcome": "drained" if outcome.released else "not-released",
                "proof" if outcome.released else "held_by": list(outcome.words),
                "fresh": outcome.fresh,
                "offer": outcome.offer,
                "remedies": list(outcome.remedies),
                "steps": [{"at": step.at, "stage": step.stage, "text": step.text} for step in outcome.steps],
                "exit_code": code,
            }
        )
        return code
    from clawtop.view.drain_lines import outcome_lines
    from clawtop.view.line import text_of

    print_lines(text_of(line) for line in outcome_lines(outcome))
    return code


def _target_json(target: DrainTarget) -> dict[str, Any]:
    return {"agent": target.agent, "session_key": target.key, "file": str(target.file)}


def _tell_step(step: DrainStep) -> None:
    from clawtop.core.session.drain import OUTCOMES

    if step.stage in OUTCOMES:
        return  # the outcome says the same, at length
    print_lines([f"{step.stage:<12} {step.text}"])


class _Countdown:
    """The deadline on the screen: one line that is overwritten."""

    def __call__(self, wait: Wait, left_s: float) -> None:
        sys.stderr.write(f"\r\x1b[K{left_s:5.0f} s  {safe(wait.why, 100)}\r")
        sys.stderr.flush()
