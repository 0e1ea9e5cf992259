"""Locks as they are seen from other namespaces and with other clocks: no verb removes a living owner's.

Each verb runs in a process of its own that is in another pid, time or host name namespace, or whose clock was set
while the owner lived. The lock of a dead owner is removed where that can be known, so that this does not hold for
nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from clawtop.store.locks.procfs import stat_fields
from tests.support.stores import make_state_dir

START_TICKS = 19
ENDS = {0, 1, 2, 3}
LONGEST_S = 120

NAMESPACES: dict[str, tuple[str, ...]] = {
    "its own namespaces": (),
    "another pid namespace": ("unshare", "-pf", "--mount-proc"),
    "another pid namespace, /proc of the first": ("unshare", "-pf"),
    "another time namespace": ("unshare", "-T", "-f", "--boottime", "100000"),
    "another time namespace, behind": ("unshare", "-T", "-f", "--boottime", "-1"),
    "another host name": ("unshare", "-u"),
}
CLOCKS = (-100_000, -3_600, -60, -2, 2, 60, 3_600, 100_000)
"""Seconds by which the clock was set since the owner took its lock; the kernel's time of the boot moves with it."""

AS_SEEN = """
import sys
from clawtop.clock import SystemClock
from clawtop.store.locks.processes import SystemProcesses

step = int(sys.argv[1]) * 1000
now, boot = SystemClock.now_ms, SystemProcesses._read_boot
SystemClock.now_ms = lambda self: now(self) + step
SystemProcesses._read_boot = lambda self: None if (at := boot(self)) is None else at + step

from clawtop.cli.main import run

sys.exit(run(sys.argv[2:]))
"""


@dataclass(frozen=True, slots=True)
class Sight:
    """One look at one lock: from where, which lock, by which verb. `step`: as in `CLOCKS`."""

    namespace: str
    step: int
    lock: str
    with_start: bool
    verb: str

    def __str__(self) -> str:
        clock = f", the clock set by {self.step} s" if self.step else ""
        start = "with" if self.with_start else "without"
        return f"{self.lock} {start} its owner's start, from {self.namespace}{clock}: {self.verb}"


LOCKS = {"session lock": "sessions/x.jsonl.lock", "store's lock": "agent/auth-profiles.json.lock"}
VERBS = {
    ("session lock", "unlock"): ("unlock", "LOCK", "--yes"),
    ("session lock", "drain"): ("drain", "agent:main:x", "--yes", "--deadline", "0.5", "--still", "0.1"),
    ("store's lock", "unlock"): ("unlock", "LOCK", "--yes"),
    ("store's lock", "clear"): ("clear", "fakeai:one", "--yes", "--wait", "1", "--verify", "0"),
}


def sights(random: Random) -> list[Sight]:
    """All, in any order."""
    views = [(name, 0) for name in NAMESPACES] + [("its own namespaces", step) for step in CLOCKS]
    found = [
        Sight(namespace, step, lock, with_start, verb)
        for namespace, step in views
        for lock, verb in VERBS
        for with_start in ((True, False) if lock == "session lock" else (False,))
    ]
    return random.sample(found, len(found))


def possible(sight: Sight) -> bool:
    """Whether this user may make that namespace here."""
    prefix = NAMESPACES[sight.namespace]
    return not prefix or subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0


def wrong(sight: Sight) -> Iterator[str]:
    """What is not as it should be: once with an owner that lives, once with one that has ended."""
    with tempfile.TemporaryDirectory() as folder:
        state, lock = _made(Path(folder), sight)
        with subprocess.Popen(["sleep", "600"]) as owner:
            _locked(lock, owner.pid, sight)
            before = lock.read_bytes()
            yield from (f"{sight}: {why}" for why in _run(sight, state, lock))
            if owner.poll() is not None or not lock.exists() or lock.read_bytes() != before:
                yield f"{sight}: the lock of a living owner is gone"
            owner.kill()
        if not lock.exists():
            return
        yield from (f"{sight}: {why}" for why in _run(sight, state, lock))
        elsewhere = "-pf" in NAMESPACES[sight.namespace]
        if elsewhere and not lock.exists():
            yield f"{sight}: the lock of an owner that cannot be seen is gone"
        if not elsewhere and sight.verb != "drain" and lock.exists():
            yield f"{sight}: the lock of a dead owner was not removed"


def _made(folder: Path, sight: Sight) -> tuple[Path, Path]:
    state = make_state_dir(folder, "B")
    place = state / "agents/main"
    row = {"sessionId": "x", "sessionFile": str(place / "sessions/x.jsonl"), "updatedAt": 5}
    (place / "sessions/sessions.json").write_text(json.dumps({"agent:main:x": row}))
    (place / "sessions/x.jsonl").write_text('{"type": "session", "id": "x"}\n')
    return state, place / LOCKS[sight.lock]


def _locked(lock: Path, pid: int, sight: Sight) -> None:
    at = datetime.now(UTC) + timedelta(seconds=0.05)
    payload: dict[str, object] = {"pid": pid, "createdAt": at.isoformat(timespec="milliseconds")[:-6] + "Z"}
    if sight.with_start:
        payload["starttime"] = int(stat_fields(f"/proc/{pid}")[START_TICKS])
    lock.write_text(json.dumps(payload) + "\n")


def _run(sight: Sight, state: Path, lock: Path) -> Iterator[str]:
    words = [str(lock) if word == "LOCK" else word for word in VERBS[sight.lock, sight.verb]]
    argv = [*NAMESPACES[sight.namespace], sys.executable, "-c", AS_SEEN, str(sight.step), *words]
    environment = {"HOME": str(state.parent), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8"}
    done = subprocess.run(
        [*argv, "--state-dir", str(state)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    if done.returncode not in ENDS:
        yield f"ended with {done.returncode}: {done.stderr[-400:]}"
