"""What the verbs share: the reader of the state directory that the options name."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from clawtop.clock import Clock, SystemClock

if TYPE_CHECKING:
    from clawtop.core.model import Snapshot
    from clawtop.store.snapshot import SnapshotReader


def open_reader(args: argparse.Namespace, clock: Clock | None = None) -> SnapshotReader:
    """The reader for `--state-dir`, `--agent` and `--at`. Raises StateUnreadableError."""
    from clawtop.store.processes import SystemProcesses, UncheckedProcesses
    from clawtop.store.snapshot import SnapshotReader

    return SnapshotReader(
        state_dir=args.state_dir,
        env=os.environ,
        home=Path.home(),
        clock=clock or SystemClock(),
        processes=SystemProcesses() if args.at is None else UncheckedProcesses(),
        agent=args.agent,
        at=args.at,
    )


def load_snapshot(args: argparse.Namespace) -> Snapshot:
    """Read the state once. Raises StateUnreadableError."""
    return open_reader(args).read()


def judged_at(snapshot: Snapshot) -> int:
    """The time that a snapshot is judged by: `--at`, else when it was read (ms since epoch)."""
    return snapshot.judged_at if snapshot.judged_at is not None else snapshot.taken_at
