"""Further gateways of one state directory: 2026.5.20 lets a second one start on another port or with another
configuration, which takes the lock from the first although that is alive. Both then write the same files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from clawtop.clock import Clock
from clawtop.core.model import Gateway, GatewayState, ProcessEvidence, Serving
from clawtop.store.gateway.liveness import ask_healthz
from clawtop.store.locks.command_line import has_gateway_title, its_directories
from clawtop.store.locks.processes import Census, ProcessTable, listening_ports

EVERY_SECONDS = 30.0
TITLE = "openclaw"
SETTLED_MS = 30_000
"""A gateway that is being replaced may still be ending while the next one starts."""


class RivalWatch:
    """Searches the process table for them, at most every half minute. One thread uses it."""

    def __init__(
        self,
        processes: ProcessTable,
        clock: Clock,
        *,
        proc: Path = Path("/proc"),
        ports: Callable[[int], Iterable[int]] = listening_ports,
        ask: Callable[[int], Serving] = ask_healthz,
    ) -> None:
        """
        Args:
            proc: the mount point of procfs, used to find directories as other processes see them.
            ports: on which a process listens. ask: whether OpenClaw answers on one.
        """
        self._processes = processes
        self._clock = clock
        self._proc = proc
        self._ports = ports
        self._ask = ask
        self._searched: tuple[Path, int | None, float] | None = None
        self._found: tuple[int, ...] = ()

    def look(self, gateway: Gateway, state_dir: Path, owner: int, *, euid: int | None = None) -> tuple[int, ...]:
        """The pids of gateways that certainly serve `state_dir`, other than the one that its lock names.

        Args:
            owner: the user whom the directory belongs to; others' processes may not be visible (`euid`; None: ours).
        """
        own = os.geteuid() if euid is None else euid
        if not isinstance(self._processes, Census) or own not in {0, owner} or gateway.state is not GatewayState.LIVE:
            return ()
        now, last = self._clock.monotonic(), self._searched
        if last is None or last[:2] != (state_dir, gateway.pid) or now - last[2] >= EVERY_SECONDS:
            self._searched = (state_dir, gateway.pid, now)
            here = self._clock.now_ms() - SETTLED_MS
            others = (p for p in self._processes.openclaws() if p.pid != gateway.pid)
            old = (p for p in others if p.started_at is not None and p.started_at <= here)
            self._found = tuple(sorted(p.pid for p in old if self._serves(p, state_dir, owner)))
        return self._found

    def _serves(self, process: ProcessEvidence, state_dir: Path, owner: int) -> bool:
        if process.uid != owner:
            return False
        assert isinstance(self._processes, Census)  # noqa: S101 - look has seen it
        try:
            facts = state_dir.stat()
            env = self._processes.environment(process.pid)
            served = {(s.st_dev, s.st_ino) for s in its_directories(env, f"{self._proc}/{process.pid}/root")}
        except OSError:
            return False
        return served == {(facts.st_dev, facts.st_ino)} and self._is_gateway(process)

    def _is_gateway(self, process: ProcessEvidence) -> bool:
        """By its title (2026.6 on); before, every OpenClaw has one title, and only a gateway answers on a port."""
        if has_gateway_title(process.argv):
            return True
        return process.argv[:1] == (TITLE,) and any(
            self._ask(port) is Serving.ANSWERS for port in self._ports(process.pid)
        )
