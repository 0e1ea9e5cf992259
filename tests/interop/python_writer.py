"""Counts up one profile's errorCount with clawtop's own update. The twin of node/writer.mjs.

Words: agent directory, profile, updates (0: until standard input ends), ms of work under the lock. It always flushes.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace

from clawtop.core.model import Generation, UsageStats
from clawtop.store.auth.json_backend import JsonPlace
from clawtop.store.auth.machine import Machine
from tests.support.auth_changes import profile_change
from tests.support.store_update import update
from tests.support.writers import begun


def main(directory: str, profile: str, updates: int, work_ms: float) -> None:
    target, machine = JsonPlace("main", directory, Generation.B), Machine()

    def count(stats: UsageStats) -> UsageStats:
        if work_ms:
            time.sleep(work_ms / 1000)
        return replace(stats, error_count=(stats.error_count or 0) + 1)

    change = profile_change(profile, count)
    ended = begun(counted=bool(updates))
    began = time.perf_counter()
    done, longest = 0, 0.0
    while done < updates if updates else not ended.is_set():
        updated = update(target, change, machine, wait=60)
        done += 1
        longest = max(longest, updated.waited_s)
    seconds = time.perf_counter() - began
    print(json.dumps({"done": done, "failed": 0, "longestMs": longest * 1000, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
