"""`clawtop undo`: undo an operation."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clawtop.core.model import Snapshot
    from clawtop.core.operations.plan import Plan
    from clawtop.store.snapshot import SnapshotReader


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    from clawtop.cli.operation_output import add_operation_arguments

    parser.add_argument("id", metavar="ID", nargs="?", help="id of the operation (default: the last one)")
    add_operation_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Undo. Exit 0 done, 1 refused, 2 lock not obtained, 3 failed (nothing changed), 4 done but reverted."""
    from clawtop.cli.operation_output import perform

    def plan(snapshot: Snapshot, _reader: SnapshotReader) -> Plan:
        from clawtop.core.operations.undo import undo

        return undo(snapshot, snapshot.events, args.id)

    return perform(args, plan)
