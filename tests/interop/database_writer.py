"""Counts up one profile's errors through clawtop's own writer: STATE_DIR OWNER PROFILE TIMES."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from clawtop.clock import SystemClock
from clawtop.core.model import UsageStats
from clawtop.errors import LockNotObtainedError
from clawtop.store.auth.backends import auth_backend
from clawtop.store.auth.machine import Machine
from clawtop.store.place.locating import locate
from clawtop.store.sqlite.pool import Databases
from tests.support.auth_changes import profile_change
from tests.support.store_update import update


def counted(stats: UsageStats) -> UsageStats:
    return replace(stats, error_count=(stats.error_count or 0) + 1)


def main() -> None:
    directory, owner, profile, times = sys.argv[1:]
    place = auth_backend(locate(directory, env={}, home=Path(directory)), Databases(SystemClock())).place(owner)
    assert place is not None
    left = int(times)
    while left:
        with suppress(LockNotObtainedError):  # eight writers at once may keep one out for longer than it waits
            update(place, profile_change(profile, counted), Machine(), wait=2)
            left -= 1
    print("done", flush=True)


if __name__ == "__main__":
    main()
