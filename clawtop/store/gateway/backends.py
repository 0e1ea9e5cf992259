"""The processes below the gateway that work on runs: command-line backends and ACP agents.

From 2026.5.18 to 2026.7.1 a command-line backend that may use OpenClaw's tools has its session's key in its
environment, and an ACP agent has a lease, which `acpx/process-leases.json` ties to a session. Others are known by their
command.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from clawtop.clock import Clock
from clawtop.core.model import BackendProcess, ConfigSummary, Gateway
from clawtop.nested import mapping
from clawtop.store.gateway.usage import EVERY_SECONDS, MEMORY_STEP
from clawtop.store.json_text import MEGABYTE, UnreadableError, parse, read_bytes
from clawtop.store.locks.descendants import Descendant, descendants
from clawtop.store.locks.processes import ProcessTable, SystemProcesses
from clawtop.store.runtimes import ACP, COMMANDS
from clawtop.store.wire import text

SESSION_KEY = "OPENCLAW_MCP_SESSION_KEY"
LEASE = "OPENCLAW_ACPX_LEASE_ID"
LEASE_OPTION = "--openclaw-acpx-lease-id"
LEASES = "acpx/process-leases.json"

_MOST_LEASE_BYTES = 4 * MEGABYTE
_ASKS = {"claude": ("-p", "--print"), "gemini": ("-p", "--prompt"), "codex": ("exec",)}
"""What makes a call of one of these a turn; without it, it is a question about a login or a version."""


class BackendWatch:
    """Looks for them at most every two seconds. One thread uses it."""

    def __init__(self, processes: ProcessTable, clock: Clock) -> None:
        """Processes are seen only in this machine's own table."""
        self._table = processes if isinstance(processes, SystemProcesses) else None
        self._clock = clock
        self._looked: tuple[int, float] | None = None
        self._found: tuple[BackendProcess, ...] | None = None

    def look(
        self, gateway: Gateway, config: ConfigSummary, state_dir: Path, owner: int
    ) -> tuple[BackendProcess, ...] | None:
        """Those of this gateway; none if its configuration names no such runtime; None if they cannot be seen.

        Args:
            owner: the user whom the state directory, and with it the gateway, belongs to.
        """
        if not config.backends:
            return ()
        if self._table is None or gateway.pid is None or os.geteuid() not in {0, owner}:
            return None
        now = self._clock.monotonic()
        if self._looked is not None and self._looked[0] == gateway.pid and now - self._looked[1] < EVERY_SECONDS:
            return self._found
        try:
            below = descendants(gateway.pid, self._table.proc)
        except OSError:
            self._looked = self._found = None
            return None
        found = tuple(self._backends(gateway.pid, below, config.backends, state_dir))
        self._looked, self._found = (gateway.pid, now), _steadied(found, self._found or ())
        return self._found

    def _backends(
        self, gateway: int, below: Sequence[Descendant], known: Mapping[str, str], state_dir: Path
    ) -> list[BackendProcess]:
        assert self._table is not None  # noqa: S101 - look has seen it
        found: list[BackendProcess] = []
        roots: dict[int, int] = {}  # pid -> the root of the backend's process tree that it belongs to
        own = self._table.environment(gateway) if below else {}
        leases: Mapping[str, str] | None = None
        for process in below:
            if process.parent in roots:
                roots[process.pid] = roots[process.parent]
                continue
            env = self._table.environment(process.pid)
            argv = self._table.words(process.pid)
            key, lease = _said(env, own, SESSION_KEY), _said(env, own, LEASE) or _behind(argv, LEASE_OPTION)
            backend = _backend(argv, known)
            if key is None and lease is None and backend is None:
                continue
            if lease is not None:
                leases = _leases(state_dir) if leases is None else leases
                key = leases.get(lease, key)
            seen = self._table.look(process.pid)
            if not seen.alive:
                continue
            roots[process.pid] = process.pid
            stays = lease is not None or _behind(argv, "--input-format") == "stream-json"
            name = ACP if lease is not None else backend or (os.path.basename(argv[0]) if argv else "")  # noqa: PTH119
            found.append(BackendProcess(process.pid, name, key, seen.started_at, stays=stays))
        sums: dict[int, int] = {}
        for process in below:
            if process.pid in roots:
                sums[roots[process.pid]] = sums.get(roots[process.pid], 0) + process.memory
        return [replace(one, memory=sums[one.pid]) for one in found]


def _said(env: Mapping[str, str], own: Mapping[str, str], name: str) -> str | None:
    """The environment that OpenClaw set for a process, without what the gateway itself was started with."""
    value = env.get(name, "").strip()
    return value if value and value != own.get(name, "").strip() else None


def _behind(argv: Sequence[str], option: str) -> str | None:
    at = next((n for n, word in enumerate(argv) if word == option), len(argv))
    return argv[at + 1] if at + 1 < len(argv) else None


def _backend(argv: Sequence[str], known: Mapping[str, str]) -> str | None:
    """The runtime whose command this is, started directly or by an interpreter."""
    for at, word in enumerate(argv[:2]):
        base = os.path.basename(word)  # noqa: PTH119 - foreign text
        for backend, command in known.items():
            if command and base == command:
                asks = _ASKS.get(command) if COMMANDS.get(backend) == command else None
                return backend if asks is None or any(option in argv[at + 1 :] for option in asks) else None
    return None


def _leases(state_dir: Path) -> dict[str, str]:
    """Lease -> session key, as ACP's runtime keeps them; none if that cannot be read."""
    path = str(state_dir / LEASES)
    try:
        document: Any = parse(read_bytes(path, _MOST_LEASE_BYTES)[0], path)
    except (OSError, UnreadableError):
        return {}
    listed = mapping(document).get("leases")
    entries = [mapping(entry) for entry in listed] if isinstance(listed, list) else []
    pairs = ((text(entry.get("leaseId")), text(entry.get("sessionKey"))) for entry in entries)
    return {lease: key for lease, key in pairs if lease is not None and key is not None}


def _steadied(now: tuple[BackendProcess, ...], before: tuple[BackendProcess, ...]) -> tuple[BackendProcess, ...]:
    """The earlier values where only memory changed, and only a little: every changed state is drawn again."""
    last = {one.pid: one for one in before}
    kept = (
        replace(one, memory=old.memory)
        if (old := last.get(one.pid)) is not None and abs(old.memory - one.memory) < MEMORY_STEP
        else one
        for one in now
    )
    return tuple(kept)
