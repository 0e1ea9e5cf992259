"""`clawtop rotate`: move the head of a provider's order to its end, or remove the stored order."""

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

    parser.add_argument("provider", metavar="PROVIDER", help="the provider")
    parser.add_argument("--reset", action="store_true", help="remove the stored order instead")
    add_operation_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Rotate. Exit 0 done, 1 refused, 2 lock not obtained, 3 failed (nothing changed), 4 done but reverted."""
    from clawtop.cli.operation_output import perform

    def plan(snapshot: Snapshot, _reader: SnapshotReader) -> Plan:
        from clawtop.core.operations.order import reset_order, rotate

        if args.reset:
            return reset_order(snapshot, args.provider, agent=args.agent)
        return rotate(snapshot, args.provider, agent=args.agent)

    return perform(args, plan)
