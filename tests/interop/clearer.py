"""Cools a profile and clears it again, as the verb does, many times: STATE_DIR PROFILE TIMES. Prints one JSON line."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from clawtop.clock import SystemClock
from clawtop.core.model import UsageStats
from clawtop.core.operations.clear import clear_profile
from clawtop.engine.operations.execute import OperationRequest, Operations
from clawtop.store.auth.backends import auth_backend
from clawtop.store.auth.machine import Machine
from clawtop.store.locks.processes import SystemProcesses
from clawtop.store.own.journal import Journal
from clawtop.store.snapshot import SnapshotReader
from clawtop.store.sqlite.pool import Databases
from tests.support.auth_changes import profile_change
from tests.support.store_update import update

HOUR_MS = 3_600_000


def main() -> None:
    directory, profile, times = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    clock = SystemClock()
    reader = SnapshotReader(
        state_dir=directory, env=os.environ, home=directory.parent, clock=clock, processes=SystemProcesses()
    )
    snapshot = reader.read()
    owner = next(p.owner_agent for p in snapshot.agents[0].store.profiles if p.id == profile)  # type: ignore[union-attr]
    place = auth_backend(reader.layout, Databases(clock)).place(owner)
    assert place is not None
    operations = Operations(lambda: reader.layout, journal=Journal(directory))
    held: list[int] = []
    for _ in range(times):
        until = time.time_ns() // 1_000_000 + HOUR_MS

        def cooled(stats: UsageStats, until: int = until) -> UsageStats:
            return replace(stats, cooldown_until=until, cooldown_reason="rate_limit", error_count=1)

        update(place, profile_change(profile, cooled), Machine(), wait=2)
        snapshot = reader.read()
        receipt = operations.execute_now(
            clear_profile(snapshot, profile), OperationRequest(verify_s=0, gateway=snapshot.gateway)
        )
        assert receipt.changes, receipt
        held.append(receipt.held_ms)
    print(json.dumps({"clears": len(held), "held_ms": sorted(held)}), flush=True)


if __name__ == "__main__":
    main()
