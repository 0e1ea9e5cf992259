"""`clawtop receipt ID`: the outcome of an operation, according to the journal."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from clawtop.cli import options
from clawtop.clock import SystemClock
from clawtop.text import safe

if TYPE_CHECKING:
    from clawtop.core.model import Event

UNKNOWN_EXIT = 1
BEGUN_EXIT = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("id", metavar="ID", help="id of the operation, from its receipt")
    parser.add_argument(
        "--withdraw",
        action="store_true",
        help="if it has not started, cancel it for good",
    )
    options.json(parser)


def run(args: argparse.Namespace) -> int:
    """Look it up. Exit 0 done or certainly not done, 1 no such operation, 3 started without a result."""
    from clawtop.cli.common import open_reader
    from clawtop.cli.operation_output import PAST_EVENTS, SCHEMA, print_json, print_lines
    from clawtop.core.operations.outcome import OperationOutcome, outcome_of, withdrawal
    from clawtop.store.own.journal import Journal

    journal = Journal(open_reader(args).layout.state_dir)
    if args.withdraw:
        journal.claim(withdrawal(args.id, SystemClock().now_ms()))
    outcome, event = outcome_of(journal.tail(PAST_EVENTS), args.id)
    if args.json:
        facts = {"schema": SCHEMA, "id": args.id, "outcome": outcome.value, "operation": _facts(event)}
        print_json(facts)
    else:
        print_lines([f"{outcome.value}: {safe(event.text if event else args.id, 400)}"])
    return {OperationOutcome.UNKNOWN: UNKNOWN_EXIT, OperationOutcome.BEGUN: BEGUN_EXIT}.get(outcome, 0)


def _facts(event: Event | None) -> dict[str, object] | None:
    return None if event is None else {"at": event.at, "text": event.text, "data": dict(event.data)}
