"""A process that forks a writer for each line it reads and names its pid; the writer counts up until it is killed.

Forking from a process that has loaded everything makes a life of a few milliseconds, so that the kill falls into the
update and not into the start of Python. The line "reap" waits for the writer and answers "reaped".
"""

from __future__ import annotations

import itertools
import os
import sys
from dataclasses import replace

from clawtop.core.model import Generation, UsageStats
from clawtop.store.auth.json_backend import JsonPlace
from clawtop.store.auth.machine import Machine
from tests.support.auth_changes import profile_change
from tests.support.store_update import update


def count(stats: UsageStats) -> UsageStats:
    return replace(stats, error_count=(stats.error_count or 0) + 1)


def write_for_ever(directory: str, generation: Generation) -> None:
    target, machine = JsonPlace("main", directory, generation), Machine()
    change = profile_change("fakeai:one", count)
    for _ in itertools.count():
        update(target, change, machine, wait=60)


def main(directory: str, generation: Generation) -> None:
    print("ready", flush=True)
    child = 0
    for line in sys.stdin:
        if line.strip() == "reap":
            os.waitpid(child, 0)
            print("reaped", flush=True)
            continue
        child = os.fork()
        if child == 0:
            write_for_ever(directory, generation)
        print(child, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Generation(sys.argv[2]))
