"""`clawtop order`: store the order in which a provider's profiles are tried; a profile left out is paused."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from clawtop.errors import UsageError

if TYPE_CHECKING:
    from clawtop.core.model import Snapshot
    from clawtop.core.operations.plan import Plan
    from clawtop.store.snapshot import SnapshotReader


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    from clawtop.cli.operation_output import add_operation_arguments

    parser.add_argument("provider", metavar="PROVIDER", help="the provider")
    parser.add_argument(
        "ids", metavar="ID", nargs="*", help="profile ids in the order to try them (default: the current order)"
    )
    parser.add_argument("--without", metavar="ID", action="append", default=[], help="leave this profile out: pause it")
    parser.add_argument("--reset", action="store_true", help="remove the stored order: every profile is tried again")
    add_operation_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Store it. Exit 0 done, 1 refused, 2 lock not obtained, 3 failed (nothing changed), 4 done but reverted."""
    from clawtop.cli.operation_output import perform

    if args.reset and (args.ids or args.without):
        raise UsageError("--reset removes the order: do not name profiles with it")
    if not (args.reset or args.ids or args.without):
        raise UsageError("name profiles in their order, --without ID, or --reset")

    def plan(snapshot: Snapshot, _reader: SnapshotReader) -> Plan:
        from clawtop.core.operations.order import reset_order, set_order

        if args.reset:
            return reset_order(snapshot, args.provider, agent=args.agent)
        return set_order(snapshot, args.provider, args.ids, without=args.without, agent=args.agent)

    return perform(args, plan)
