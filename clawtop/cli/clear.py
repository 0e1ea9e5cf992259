"""`clawtop clear`: clear a profile's cooldown, or all profiles of a provider."""

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

    parser.add_argument("profile", metavar="PROFILE", nargs="?", help="id of the profile")
    parser.add_argument("--provider", metavar="P", help="all profiles of this provider, under one lock")
    parser.add_argument("--model", metavar="M", help="only windows scoped to this model")
    add_operation_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Clear. Exit 0 done, 1 refused, 2 lock not obtained, 3 failed (nothing changed), 4 done but reverted."""
    from clawtop.cli.operation_output import perform

    if (args.profile is None) == (args.provider is None):
        raise UsageError("clear takes either PROFILE or --provider P")
    if args.model is not None and args.profile is None:
        raise UsageError("--model needs PROFILE")

    def plan(snapshot: Snapshot, _reader: SnapshotReader) -> Plan:
        from clawtop.core.operations.clear import clear_profile, clear_provider

        if args.provider is not None:
            return clear_provider(snapshot, args.provider, agent=args.agent)
        return clear_profile(snapshot, args.profile, agent=args.agent, model=args.model)

    return perform(args, plan)
