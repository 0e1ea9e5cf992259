"""Further gateways of one state directory: 2026.5.20 lets a second one start on another port or with another
configuration, and takes the lock from a first one that lives. Both then write the same files.
"""

from __future__ import annotations

import os
from pathlib import Path

from clawtop.clock import Clock
from clawtop.core.model import Gateway, GatewayState, ProcessEvidence
from clawtop.store.locks.command_line import has_gateway_title, its_directories
from clawtop.store.locks.processes import Census, ProcessTable

EVERY_SECONDS = 30.0
SETTLED_MS = 30_000
"""A gateway that is being replaced may still be ending while the next one starts."""


class RivalWatch:
    """Searches the process table for them, at most every half minute. One thread uses it."""

    def __init__(self, processes: ProcessTable, clock: Clock, *, proc: Path = Path("/proc")) -> None:
        """`proc` is the mount point of procfs, used to find directories as other processes see them."""
        self._processes = processes
        self._clock = clock
        self._proc = proc
        self._searched: tuple[Path, float] | None = None
        self._found: tuple[int, ...] = ()

    def look(self, gateway: Gateway, state_dir: Path, owner: int, *, euid: int | None = None) -> tuple[int, ...]:
        """The pids of gateways that certainly serve `state_dir`, beside the one that its lock names.

        Args:
            owner: the user whom the directory belongs to; others' processes may not be visible (`euid`; None: ours).
        """
        own = os.geteuid() if euid is None else euid
        if not isinstance(self._processes, Census) or own not in {0, owner} or gateway.state is not GatewayState.LIVE:
            return ()
        now = self._clock.monotonic()
        if self._searched is None or self._searched[0] != state_dir or now - self._searched[1] >= EVERY_SECONDS:
            self._searched = (state_dir, now)
            here = self._clock.now_ms() - SETTLED_MS
            found = (p for p in self._processes.openclaws() if p.started_at is not None and p.started_at <= here)
            self._found = tuple(sorted(p.pid for p in found if self._serves(p, state_dir, owner)))
        return tuple(pid for pid in self._found if pid != gateway.pid)

    def _serves(self, process: ProcessEvidence, state_dir: Path, owner: int) -> bool:
        if process.uid != owner or not has_gateway_title(process.argv):
            return False
        assert isinstance(self._processes, Census)  # noqa: S101 - look has seen it
        try:
            facts = state_dir.stat()
            env = self._processes.environment(process.pid)
            served = {(s.st_dev, s.st_ino) for s in its_directories(env, f"{self._proc}/{process.pid}/root")}
        except OSError:
            return False
        return served == {(facts.st_dev, facts.st_ino)}
