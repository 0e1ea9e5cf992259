"""The twin of tests/interop/node/writer.mjs: the same read, change and rename, under clawtop's lock.

Words: agent directory, profile, updates (0: until standard input ends), ms of work under the lock, flush (0 or 1).
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from clawtop.core.model import Generation
from clawtop.store.auth.lock import AuthStoreLock, Hold
from clawtop.store.auth.machine import Machine
from tests.support.writers import begun


def main(directory: str, profile: str, updates: int, work_ms: float, flush: bool) -> None:
    state = Path(directory) / "auth-state.json"
    fresh = Path(f"{state}.{os.getpid()}.tmp")
    longest = 0.0

    def work(hold: Hold) -> None:
        nonlocal longest
        longest = max(longest, hold.waited_s)
        value = json.loads(state.read_bytes())
        entry = value.setdefault("usageStats", {}).setdefault(profile, {})
        entry["errorCount"] = entry.get("errorCount", 0) + 1
        if work_ms:
            time.sleep(work_ms / 1000)
        content = json.dumps(value, indent=2).encode() + b"\n"
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(file, content)
        if flush:
            os.fsync(file)
        os.close(file)
        fresh.rename(state)
        if flush:
            parent = os.open(directory, os.O_RDONLY)
            os.fsync(parent)
            os.close(parent)

    ended = begun(counted=bool(updates))
    began, done = time.perf_counter(), 0
    with AuthStoreLock(directory, Generation.B, Machine()) as lock:
        while done < updates if updates else not ended.is_set():
            lock.run(work, wait=60)
            done += 1
    seconds = time.perf_counter() - began
    print(json.dumps({"done": done, "failed": 0, "longestMs": longest * 1000, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), sys.argv[5] == "1")
