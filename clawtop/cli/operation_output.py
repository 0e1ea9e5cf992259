"""What the verbs that change something share: their options, preview, confirmation, execution and receipt."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from clawtop.cli import options
from clawtop.errors import OperationFailedError, RefusedError
from clawtop.text import safe

if TYPE_CHECKING:
    from clawtop.core.model import Snapshot
    from clawtop.core.operations.plan import Plan
    from clawtop.core.operations.receipt import Receipt
    from clawtop.store.auth.machine import LockOwner
    from clawtop.store.snapshot import SnapshotReader

SCHEMA = 1
WAIT_S = 15.0
VERIFY_S = 10.0
PAST_EVENTS = 10_000
"""How far back undo looks."""

MakePlan = Callable[["Snapshot", "SnapshotReader"], "Plan"]
"""The plan for what was asked, from the snapshot, whose events are the journal's, and its reader."""


def add_operation_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of every verb that changes something."""
    group = parser.add_argument_group("how")
    group.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    options.yes(group)
    options.json(group)
    group.add_argument("--reason", metavar="TEXT", default="", help="the reason, for the journal")
    group.add_argument(
        "--wait", metavar="SECONDS", type=seconds, default=WAIT_S, help="seconds to wait for the lock (default: 15)"
    )
    group.add_argument(
        "--verify",
        metavar="SECONDS",
        type=seconds,
        default=VERIFY_S,
        help="seconds to watch a live gateway (default: 10)",
    )
    group.add_argument("--plan", metavar="ID", help="proceed only if the plan still has this id (see --dry-run --json)")
    group.add_argument("--operation-id", metavar="ID", help="journal it under this id; an id is used only once")
    group.add_argument("--reload", action="store_true", help="have a live gateway load the change (secrets.reload)")


def perform(args: argparse.Namespace, make_plan: MakePlan) -> int:
    """Read, plan, ask, execute, report. Returns exit code 0 or 4; errors are raised and carry their exit code.

    Raises:
        RefusedError: it may not be done, or the operator did not agree.
    """
    from clawtop.cli.common import make_caller, open_reader
    from clawtop.engine.drive.leftovers import land_leftovers
    from clawtop.engine.operations.execute import OperationRequest, Operations
    from clawtop.store.own.journal import Journal

    reader = open_reader(argparse.Namespace(**{**vars(args), "agent": None}))
    if not args.dry_run and args.at is None:
        land_leftovers(reader.layout.state_dir)
    snapshot = reader.read()
    journal = Journal(snapshot.state_dir)
    why = journal.why_unreadable()
    if why is not None:
        raise OperationFailedError(
            f"the journal cannot be read: {why}",
            unchanged="nothing was changed",
            hint="nothing is done without a journal entry",
        )
    plan = make_plan(replace(snapshot, events=journal.tail(PAST_EVENTS)), reader)
    _check_pin(args, plan)
    now = snapshot.as_of
    if args.dry_run:
        _show_plan(plan, now, args)
        return 0
    if not args.yes:
        _ask(plan, now)
    request = OperationRequest(
        reason=args.reason,
        wait_s=args.wait,
        verify_s=args.verify,
        reload=args.reload,
        gateway=snapshot.gateway,
        on_wait=_tell_wait,
        operation_id=args.operation_id,
    )
    receipt = Operations(lambda: reader.layout, journal=journal, caller=make_caller(args, reader)).execute_now(
        plan, request
    )
    _show_receipt(receipt, args)
    return receipt.exit_code


def _check_pin(args: argparse.Namespace, plan: Plan) -> None:
    """Compare the plan with the one that the caller was shown. Raises RefusedError if they differ."""
    if args.plan is not None and args.plan != plan.fingerprint:
        raise RefusedError(
            "the state has changed: the plan is no longer the one shown",
            unchanged="nothing was changed",
            hint="look at the new one with --dry-run",
        )


def plan_json(plan: Plan) -> dict[str, Any]:
    """A plan as JSON-ready values, ids exact."""
    from clawtop.core.model import plain_text

    return {
        "kind": plan.kind.value,
        "title": plan.title,
        "target": plan.target,
        "agent": plan.agent,
        "file": plan.file,
        "plan_id": plan.fingerprint,
        "fingerprint": plan.fingerprint,  # the same, as schema 1 first named it
        "changes": [change.to_json() for change in plan.changes],
        "effects": [plain_text(effect) for effect in plan.effects],
        "loses": list(plan.loses),
        "warnings": list(plan.warnings),
        "proof": list(plan.proof),
        "undoes": plan.undoes,
        "nothing_to_do": plan.is_empty,
    }


def _show_plan(plan: Plan, now: int, args: argparse.Namespace) -> None:
    if args.json:
        print_json({"schema": SCHEMA, "dry_run": True, "plan": plan_json(plan)})
    else:
        from clawtop.view.plan_lines import plan_text

        print_lines(plan_text(plan, now))


def _show_receipt(receipt: Receipt, args: argparse.Namespace) -> None:
    if args.json:
        print_json({"schema": SCHEMA, "receipt": receipt.to_json(), "exit_code": receipt.exit_code})
    else:
        from clawtop.view.plan_lines import receipt_text

        print_lines(receipt_text(receipt))


def _ask(plan: Plan, now: int) -> None:
    """Show the plan and ask for confirmation. Raises RefusedError if it is declined."""
    from clawtop.view.plan_lines import plan_text

    if not plan.is_empty:
        confirm(plan_text(plan, now))


def confirm(lines: Iterable[str]) -> None:
    """Show what would be done and ask for confirmation. Raises RefusedError if it is declined."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise RefusedError("no terminal to ask for confirmation: use --yes", unchanged="nothing was changed")
    print_lines(lines, sys.stderr)
    sys.stderr.write("Do it? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise RefusedError("not confirmed", unchanged="nothing was changed")


def _tell_wait(holder: LockOwner) -> None:
    print_lines([f"clawtop: waiting for the lock: {holder.text}"], sys.stderr)


def print_json(value: dict[str, Any]) -> None:
    """One JSON object, ASCII only, its words masked and its ids exact."""
    from clawtop.view.masking import without_secrets

    sys.stdout.write(json.dumps(without_secrets(value)) + "\n")


def print_lines(lines: Iterable[str], stream: Any = None) -> None:
    """Lines on stdout, or on `stream`, in whatever encoding it has."""
    stream = stream or sys.stdout
    encoding = stream.encoding or "ascii"
    stream.write("".join(line.encode(encoding, "replace").decode(encoding) + "\n" for line in lines))
    stream.flush()


def seconds(text: str) -> float:
    """Seconds from 0 to a day. Raises argparse.ArgumentTypeError."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 86_400:
        raise argparse.ArgumentTypeError(f"{safe(text, 30)!r} is not a number of seconds from 0 to 86400")
    return value
