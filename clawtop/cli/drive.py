"""`clawtop drive`: send one message to a session and stream the reply, or a batch of messages."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from clawtop import threads
from clawtop.cli import drive_gateway, steered
from clawtop.cli.drive_batch import JOBS, run_batch
from clawtop.cli.drive_output import JsonOutput, TextOutput, TurnOutput, stop_exit
from clawtop.cli.driving import (
    cancel_on_signals,
    check_out,
    exit_code,
    model_named,
    open_driver,
    read_system,
    turn_request,
)
from clawtop.cli.output_file import put_file
from clawtop.errors import ClawtopError, UsageError
from clawtop.redaction import masked
from clawtop.text import safe

if TYPE_CHECKING:
    from clawtop.core.model import ModelRef
    from clawtop.core.session.turn_request import TurnRequest
    from clawtop.engine.drive.driver import Drive, Driver

DEFAULT_ACCOUNT_WAIT_S = 6 * 3600.0
BATCH_ONLY = ("jobs", "rate", "budget", "max_tokens_total", "resume")
EXIT_CODES = """\
exit codes:
  0  the reply was written to the session
  1  refused, or the session is contended (--on-contention raise, or the wait timed out)
  2  local contention: the session's lock was not released, or another program took the session over
  3  the state cannot be read, or the reply could not be written (it is printed on standard output)
  5  no model answered
  6  timeout: of a provider call, or of the whole turn
  10 the reply was written, but cut off at its token limit
  11 the provider's filter cut the reply, or the content was refused
  12 the model asked for tools, which clawtop does not run; any text it sent with them was written
  64 wrong command line, or no such session (--new creates one)
  130 cancelled (128+n after signal n)

The message and the reply are written together, after the reply: a failed turn leaves the session as it was.
A batch exits with 0 when every line was answered, else with the code of the first line that was not."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXIT_CODES
    parser.add_argument("--session", metavar="KEY|FILE", help="a session key, or the path of a transcript")
    parser.add_argument("--list", action="store_true", help="list the session keys, newest first, and exit")
    parser.add_argument("--new", action="store_true", help="create the session if it does not exist")
    parser.add_argument("--message", metavar="TEXT", help="the message; - (the default) reads stdin")
    parser.add_argument("--system", metavar="FILE", help="a system prompt in place of the session's own")
    parser.add_argument("--lane", metavar="L", help="the lane of the turn: main, heartbeat, channel, cron, ...")
    parser.add_argument("--model", metavar="P/M", help="the model to try first (default: the session's, the agent's)")
    parser.add_argument(
        "--on-contention",
        choices=("wait", "raise", "fork"),
        default="wait",
        help="when the session has a holder: wait in line (default), give up, or continue in a fresh copy",
    )
    parser.add_argument(
        "--on-timeout",
        choices=("terminal", "fallback", "rotate"),
        default="terminal",
        help="what a provider's timeout does: end the run (default), try the next model, or the next profile",
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        metavar="S",
        help="seconds for the whole turn, waiting included (default: agents.defaults.timeoutSeconds, else 600)",
    )
    parser.add_argument(
        "--wait-for-account",
        nargs="?",
        type=_seconds,
        const=DEFAULT_ACCOUNT_WAIT_S,
        metavar="S",
        help="when every account is cooling: wait for the first one to return, at most S seconds (default: 6 hours)",
    )
    parser.add_argument("--out", metavar="FILE", help="write the reply, or a batch's results, to FILE as well")
    parser.add_argument("--json", action="store_true", help="typed events, one JSON object per line")
    steered.add_argument(parser)
    drive_gateway.add_arguments(parser)
    batch = parser.add_argument_group(
        "batch", "JSON lines in, each {message, session?, id?, model?, system?, new?}; JSON lines out"
    )
    batch.add_argument("--batch", metavar="FILE|-", help="read the turns from FILE, or from standard input")
    batch.add_argument("--jobs", type=_count, metavar="N", help=f"turns to run at once (default: {JOBS})")
    batch.add_argument("--rate", type=_seconds, metavar="N", help="turns to start per minute, at most")
    batch.add_argument(
        "--budget", type=_seconds, metavar="USD", help="start no more turns once this much has been spent"
    )
    batch.add_argument("--max-tokens-total", type=_count, metavar="N", help="the same for tokens")
    batch.add_argument("--resume", action="store_true", help="skip lines that --out FILE already answers")


def run(args: argparse.Namespace) -> int:
    """Drive one turn, or a batch."""
    if args.at is not None:
        raise UsageError("drive works only on the live state", hint="leave out --at")
    model = model_named(args.model)
    if args.list:
        return _list(args)
    if args.batch is not None:
        if args.message is not None:
            raise UsageError(
                "--batch reads its messages from the file, not from --message", hint="leave out one of them"
            )
        return run_batch(args, model)
    for option in BATCH_ONLY:
        if getattr(args, option):
            raise UsageError(f"--{option.replace('_', '-')} is for a batch", hint="leave it out, or add --batch FILE")
    if args.session is None:
        raise UsageError("name a session with --session", hint="clawtop drive --list shows their keys")
    if args.steered is not None:
        return steered.drive(args, model)
    check_out(args.out)
    message = sys.stdin.read() if args.message in {None, "-"} else args.message
    through_gateway = drive_gateway.run_if_wanted(args, message)
    if through_gateway is not None:
        return through_gateway
    return _one(args, model, message)


def _one(args: argparse.Namespace, model: ModelRef | None, message: str) -> int:
    output: TurnOutput = JsonOutput() if args.json else TextOutput(streams=sys.stdout.isatty())
    signalled: list[int] = []
    runs: list[Drive] = []
    request = turn_request(args, args.session, message, model=model)
    request = replace(request, system=read_system(args.system), may_create=args.new)
    try:
        driver = open_driver(args, output)
        return threads.run(_drive(driver, args, request, output, signalled.append, runs))
    except ClawtopError as error:
        code = exit_code(error)
        output.failed(error, code, runs[0].unstored if runs else "")
        return code
    except asyncio.CancelledError:
        stored = runs[0].stored if runs else None
        written = "nothing was written" if stored is None else f"the reply was written to {safe(stored.session_file)}"
        print(f"clawtop: cancelled: everything was released, {written}", file=sys.stderr)
        return 128 + signalled[0] if signalled else 130
    finally:
        output.ended()


async def _drive(  # noqa: PLR0917 - one call, from run
    driver: Driver,
    args: argparse.Namespace,
    request: TurnRequest,
    output: TurnOutput,
    signalled: Callable[[int], None],
    runs: list[Drive],
) -> int:
    from clawtop.core.model import Event, EventKind

    cancel_on_signals(signalled)
    async with driver:
        run = driver.drive(request)
        runs.append(run)
        run.listen(output.item)
        asked = False
        async for item in run:
            if not asked and isinstance(item, Event) and item.kind in {EventKind.WAIT, EventKind.CONTENDED}:
                asked = True
                stuck = await asyncio.to_thread(_stuck, args)
                if stuck is not None:
                    output.stuck(stuck, args.session)
        answer = await run.result()
        output.answer(answer)
    if driver.journal_problem is not None:
        output.problem(driver.journal_problem)
    if args.out is not None:
        reply = (masked(answer.text) + "\n").encode("utf-8", "replace")
        put_file(args.out, reply, what="the reply", hint="the reply is in the session")
    return stop_exit(answer)


def _list(args: argparse.Namespace) -> int:
    import os

    from clawtop.engine.drive.session_choice import session_keys
    from clawtop.store.place.locating import locate

    layout = locate(args.state_dir, env=dict(os.environ), home=Path.home())
    keys = session_keys(layout, args.agent)
    if args.json:
        import json

        print(json.dumps({"schema": 1, "type": "sessions", "keys": list(keys)}))
    else:
        for key in keys:
            print(safe(key, 400))
    if not keys:
        print("there is no session that clawtop can drive here; clawtop status lists them all", file=sys.stderr)
    return 0


def _stuck(args: argparse.Namespace) -> str | None:
    """Why the awaited session counts as stuck; None if it does not, or cannot be judged."""
    from clawtop.cli.common import open_incident_reader
    from clawtop.cli.drain import target_of
    from clawtop.engine.drain.recovery import assess
    from clawtop.view.recovery_lines import is_stuck, reason_words

    with contextlib.suppress(ClawtopError):
        reader = open_incident_reader(argparse.Namespace(**{**vars(args), "agent": None}))
        report = assess(reader.read(), target_of(reader, args.session, args.agent))
        if report is not None and is_stuck(report):
            return reason_words(report)
    return None


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < 1e6:
        raise argparse.ArgumentTypeError("it must be more than 0")
    return seconds


def _count(text: str) -> int:
    count = int(text)
    if not 0 < count < 10**12:
        raise argparse.ArgumentTypeError("it must be more than 0")
    return count
