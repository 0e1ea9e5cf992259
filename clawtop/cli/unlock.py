"""`clawtop unlock`: remove one lock whose owner is proven dead."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clawtop.core.model import Snapshot
    from clawtop.core.operations.plan import Plan
    from clawtop.store.snapshot import SnapshotReader


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    from clawtop.cli.operation_output import add_operation_arguments

    parser.add_argument("target", metavar="SESSION|PATH", help="session key or id, or the path of a lock")
    add_operation_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Unlock. Exit 0 done, 1 refused, 2 lock not obtained, 3 failed (nothing changed)."""
    from clawtop.cli.operation_output import perform

    def plan(snapshot: Snapshot, reader: SnapshotReader) -> Plan:
        from clawtop.core.operations.unlock import unlock

        return unlock(snapshot, _exact(args.target, snapshot, reader), agent=args.agent)

    return perform(args, plan)


def _exact(target: str, snapshot: Snapshot, reader: SnapshotReader) -> str:
    """A path as the snapshot names it; anything else as it is. Raises RefusedError for a path from elsewhere."""
    if os.sep not in target:
        return target
    real = os.path.realpath(target)
    for lock in snapshot.locks:
        if os.path.realpath(lock.file.path) in {real, f"{real}.lock"}:
            return lock.file.path
    if any(session.key == target for session in snapshot.sessions):
        return target
    return str(reader.layout.resolve_inside(target))
