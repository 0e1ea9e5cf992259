"""Every lock of a state directory, read with a cache, and judged."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

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
from clawtop.store.locks.owners import InnerNamespaces, judged_from, owner_in_container, seen_from_here
from clawtop.store.locks.processes import ProcessTable
from clawtop.store.place.generation import PROFILES_FILE
from clawtop.store.place.layout import AgentPaths, Layout
from clawtop.store.timed_reads import NoAnswerError, TimedReads
from clawtop.store.ways import check_way

SESSION_LOCK_SUFFIX = ".jsonl.lock"


class LockFiles:
    """Reads lock files; one that looks unchanged (mtime, size, inode) is not read again."""

    def __init__(self, reads: TimedReads) -> None:
        self._reads = reads
        self._known: _KnownLocks = {}
        self._last: dict[str, _LocksThere] = {}  # of each directory

    def read_all(self, agents: Iterable[AgentPaths], layout: Layout, warnings: list[Problem]) -> list[LockFile]:
        """The locks of these agents, and the shared ones; directories that cannot be listed go to `warnings`."""
        self._read_now: dict[str, _LocksThere] = {}
        before, seen = self._known, set[str]()
        read = partial(_read, before)
        auth_dirs = {agent.agent_dir: agent.id for agent in agents}
        auth_dirs.setdefault(layout.main_agent_dir, layout.main_agent_id)
        for directory, name in auth_dirs.items() if not layout.storage.auth_in_database else ():
            path = f"{directory}/{PROFILES_FILE}.lock"
            self._ask(str(directory), partial(_listed, partial(read, path, LockKind.AUTH, name)), warnings)
        for agent in agents if layout.storage.session_files else ():
            if f"{agent.sessions_store}.lock" not in seen:
                self._ask(str(agent.sessions_dir), partial(_of_sessions, read, agent), warnings)
                seen.add(f"{agent.sessions_store}.lock")
        self._ask(str(layout.oauth_lock_dir), partial(_of_logins, read, layout.oauth_lock_dir), warnings)
        self._last = self._read_now
        locks = [found for one in self._last.values() for found in one.locks]
        self._known = {lock.path: (stamp, lock) for stamp, lock in locks if stamp is not None}
        return [lock for _, lock in locks]

    def _ask(self, directory: str, read: Callable[[], _LocksThere], warnings: list[Problem]) -> None:
        """The locks in a directory; if it does not answer, those of the last read."""
        try:
            found = self._reads.ask(f"locks {directory}", directory, read)
        except NoAnswerError as silent:
            found = _LocksThere(self._last.get(directory, _NOTHING).locks, (silent.problem,))
        warnings += found.problems
        before = self._read_now.get(directory, _NOTHING)
        self._read_now[directory] = _LocksThere((*before.locks, *found.locks), (*before.problems, *found.problems))


class _LocksThere(NamedTuple):
    """What was read in one place: locks, each with the stamp that shows whether it is current (None: must be read
    again).
    """

    locks: tuple[tuple[Stamp | None, LockFile], ...] = ()
    problems: tuple[Problem, ...] = ()


_NOTHING = _LocksThere()
_KnownLocks = dict[str, tuple[Stamp, LockFile]]
_Read = Callable[..., tuple[Stamp | None, LockFile] | None]


def _listed(read: Callable[[], tuple[Stamp | None, LockFile] | None]) -> _LocksThere:
    found = read()
    return _NOTHING if found is None else _LocksThere((found,))


def _of_sessions(read: _Read, agent: AgentPaths) -> _LocksThere:
    problems: list[Problem] = []
    found = [read(f"{agent.sessions_store}.lock", LockKind.SESSIONS_STORE, agent.id)]
    for directory in (agent.sessions_dir, *agent.older_sessions):
        for name in _names(directory, SESSION_LOCK_SUFFIX, problems):
            session_id = name.removesuffix(SESSION_LOCK_SUFFIX)
            found.append(read(f"{directory}/{name}", LockKind.SESSION, agent.id, session_id))
    return _LocksThere(tuple(one for one in found if one is not None), tuple(problems))


def _of_logins(read: _Read, directory: Path) -> _LocksThere:
    problems: list[Problem] = []
    found = [read(f"{directory}/{name}", LockKind.OAUTH_REFRESH) for name in _names(directory, ".lock", problems)]
    return _LocksThere(tuple(one for one in found if one is not None), tuple(problems))


def _read(
    before: _KnownLocks, path: str, kind: LockKind, agent: str | None = None, session_id: str | None = None
) -> tuple[Stamp | None, LockFile] | None:
    """A lock as it is now; the cached one if it looks unchanged. None: there is none."""
    stamp = stamp_of(path)
    known = before.get(path)
    if known is not None and known[0] == stamp:
        return known
    lock = read_lock(path, kind, agent=agent, session_id=session_id)
    if lock is None:
        return None
    may_be_kept = stamp is not None and stamp.inode == lock.identity.ino and lock.payload is not None
    return (stamp if may_be_kept else None), lock


def _names(directory: Path, suffix: str, warnings: list[Problem]) -> list[str]:
    try:
        check_way(directory / suffix)
        with os.scandir(directory) as entries:
            return sorted(entry.name for entry in entries if entry.name.endswith(suffix))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError:
        warnings.append(Problem("no-permission", str(directory), "cannot be read by this user"))
    except OSError as error:
        code = "symlink-loop" if error.errno == errno.ELOOP else "unreadable"
        warnings.append(Problem(code, str(directory), f"cannot be listed ({error.strerror or 'unreadable'})"))
    return []


class LockJudge:
    """Judges locks for one snapshot: each owner is looked up once, and containers are searched once.

    Args:
        gateway_uid: the user that OpenClaw runs as here; None if unknown.
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
        self._environments: dict[NamespaceEvidence, NamespaceEvidence] = {}
        self._insides = InnerNamespaces(processes)

    def __call__(self, file: LockFile, environment: NamespaceEvidence) -> Lock:
        """The lock with its owner and both verdicts."""
        pid, ticks = owner_pid(file), owner_start_ticks(file)
        owner = self.owner(pid) if pid is not None else None
        if pid is not None and owner is not None:
            owner = owner_in_container(pid, ticks, owner, self._insides)
        return Lock(
            file=file,
            pid=pid,
            created_at=created_at(file),
            start_ticks=ticks,
            max_hold_ms=max_hold_ms(file),
            owner=owner,
            verdict=judged_from(file, owner, self._processes, self._now, self._seen(environment)),
            openclaw=openclaw_verdict(
                file, owner, self._now, self._storage, self._limits, gateway_uid=self._gateway_uid
            ),
        )

    def _seen(self, environment: NamespaceEvidence) -> NamespaceEvidence:
        known = self._environments.get(environment)
        if known is None:
            known = self._environments[environment] = seen_from_here(environment, self._processes)
        return known

    def owner(self, pid: int) -> ProcessEvidence:
        """What is known about a process of this machine, looked up once."""
        evidence = self._owners.get(pid)
        if evidence is None:
            evidence = self._owners[pid] = self._processes.look(pid)
        return evidence
