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

    parser.add_argument(
        "target", metavar="SESSION|PATH", help="session key or id, or a lock, by its path or name in status"
    )
    add_operation_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Unlock. Exit 0 done, 1 refused, 2 lock not obtained, 3 failed (nothing changed)."""
    from clawtop.cli.operation_output import perform

    def plan(snapshot: Snapshot, reader: SnapshotReader) -> Plan:
        from clawtop.core.operations.target import names_of
        from clawtop.core.operations.unlock import unlock
        from clawtop.view.lock_columns import locks_shown_as

        shown_as = locks_shown_as(snapshot, args.settings["labels"])
        target = args.target
        if not any(target in names_of(snapshot, lock, shown_as) for lock in snapshot.locks):
            target = _exact(target, snapshot, reader)
        return unlock(snapshot, target, agent=args.agent, shown_as=shown_as)

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
