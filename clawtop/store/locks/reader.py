"""Every lock of a state directory, read with a cache, and judged."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from clawtop.core.generations import Storage
from clawtop.core.locks.staleness import (
    NamespaceEvidence,
    created_at,
    max_hold_ms,
    openclaw_verdict,
    owner_pid,
    owner_start_ticks,
)
from clawtop.core.model import (
    Lock,
    LockFile,
    LockKind,
    LockLimits,
    Problem,
    ProcessEvidence,
)
from clawtop.store.json_text import Stamp, stamp_of
from clawtop.store.locks.lockfile import read_lock
from clawtop.store.locks.owners import Insides, beyond, judged
from clawtop.store.locks.processes import ProcessTable
from clawtop.store.place.generation import PROFILES_FILE
from clawtop.store.place.layout import AgentPaths, Layout

SESSION_LOCK_SUFFIX = ".jsonl.lock"


class LockFiles:
    """Reads lock files; one that looks untouched (mtime, size, inode) is not read again."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Stamp, LockFile]] = {}

    def read_all(self, agents: Iterable[AgentPaths], layout: Layout, warnings: list[Problem]) -> list[LockFile]:
        """The locks of these agents, and those that all share; what cannot be listed goes to `warnings`."""
        before, self._known = self._known, {}
        found: list[LockFile | None] = []
        seen: set[str] = set()
        auth_dirs = {agent.agent_dir: agent.id for agent in agents}
        auth_dirs.setdefault(layout.main_agent_dir, layout.main_agent_id)
        for directory, name in auth_dirs.items() if not layout.storage.auth_in_database else ():
            found.append(self._read(before, f"{directory}/{PROFILES_FILE}.lock", LockKind.AUTH, name))
        for agent in agents if layout.storage.session_files else ():
            if f"{agent.sessions_store}.lock" not in seen:
                found += self._of_sessions(before, agent, warnings)
                seen.add(f"{agent.sessions_store}.lock")
        found += [
            self._read(before, f"{layout.oauth_lock_dir}/{name}", LockKind.OAUTH_REFRESH)
            for name in _names(layout.oauth_lock_dir, ".lock", warnings)
        ]
        return [lock for lock in found if lock is not None]

    def _of_sessions(
        self, before: dict[str, tuple[Stamp, LockFile]], agent: AgentPaths, warnings: list[Problem]
    ) -> Iterator[LockFile | None]:
        yield self._read(before, f"{agent.sessions_store}.lock", LockKind.SESSIONS_STORE, agent.id)
        for directory in (agent.sessions_dir, *agent.older_sessions):
            for name in _names(directory, SESSION_LOCK_SUFFIX, warnings):
                session_id = name.removesuffix(SESSION_LOCK_SUFFIX)
                yield self._read(before, f"{directory}/{name}", LockKind.SESSION, agent.id, session_id)

    def _read(
        self,
        before: dict[str, tuple[Stamp, LockFile]],
        path: str,
        kind: LockKind,
        agent: str | None = None,
        session_id: str | None = None,
    ) -> LockFile | None:
        stamp = stamp_of(path)
        known = before.get(path)
        if known is not None and known[0] == stamp:
            self._known[path] = known
            return known[1]
        lock = read_lock(path, kind, agent=agent, session_id=session_id)
        if lock is not None and stamp is not None and stamp.inode == lock.identity.ino and lock.payload is not None:
            self._known[path] = (stamp, lock)
        return lock


def _names(directory: Path, suffix: str, warnings: list[Problem]) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            return sorted(entry.name for entry in entries if entry.name.endswith(suffix))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError:
        warnings.append(Problem("no-permission", str(directory), "may not be read by this user"))
    except OSError as error:
        code = "symlink-loop" if error.errno == errno.ELOOP else "unreadable"
        warnings.append(Problem(code, str(directory), f"cannot be listed ({error.strerror or 'unreadable'})"))
    return []


class LockJudge:
    """Judges locks for one snapshot: each owner is looked up once, and containers are searched once.

    Args:
        gateway_uid: the user that OpenClaw runs as here; None where not known.
    """

    def __init__(
        self,
        processes: ProcessTable,
        now: int,
        storage: Storage,
        limits: LockLimits,
        gateway_uid: int | None,
    ) -> None:
        self._processes = processes
        self._now = now
        self._storage = storage
        self._limits = limits
        self._gateway_uid = gateway_uid
        self._owners: dict[int, ProcessEvidence] = {}
        self._insides = Insides(processes)

    def __call__(self, file: LockFile, environment: NamespaceEvidence) -> Lock:
        """The lock with its owner and both verdicts."""
        pid = owner_pid(file)
        owner = self.owner(pid) if pid is not None else None
        if pid is not None and owner is not None:
            owner = beyond(pid, owner_start_ticks(file), owner, self._insides)
        return Lock(
            file=file,
            pid=pid,
            created_at=created_at(file),
            start_ticks=owner_start_ticks(file),
            max_hold_ms=max_hold_ms(file),
            owner=owner,
            verdict=judged(file, owner, self._processes, self._now, environment),
            openclaw=openclaw_verdict(
                file, owner, self._now, self._storage, self._limits, gateway_uid=self._gateway_uid
            ),
        )

    def owner(self, pid: int) -> ProcessEvidence:
        """What is known of a process of this machine, looked up once."""
        evidence = self._owners.get(pid)
        if evidence is None:
            evidence = self._owners[pid] = self._processes.look(pid)
        return evidence
