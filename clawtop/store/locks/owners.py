"""Who owns a lock, looked up here and in the pid namespaces below; and clawtop's verdict on it.

All code that judges a lock uses this module, so that the screen and removals rely on the same proof.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from clawtop.core.locks.session_rules import looks_like_openclaw
from clawtop.core.locks.staleness import BY_THE_CLOCK, NamespaceEvidence, owner_pid, owner_start_ticks, verdict
from clawtop.core.model import LockFile, ProcessEvidence, Verdict, VerdictKind
from clawtop.store.locks.processes import Census, ProcessTable, SystemProcesses


class InnerNamespaces:
    """The processes of the pid namespaces below this one; searched once, on first use."""

    def __init__(self, processes: ProcessTable) -> None:
        self._processes = processes
        self._pids: Mapping[int, Sequence[int]] | None = None

    def numbered(self, pid: int) -> list[ProcessEvidence]:
        """Processes that have this pid in their own namespace and are not known to be dead."""
        if self._pids is None:
            self._pids = self._processes.contained() if isinstance(self._processes, Census) else {}
        outside = self._pids.get(pid)
        if outside is None:
            return []
        looked = map(self._processes.look, outside)
        return [evidence for evidence in looked if evidence.alive is not False]


def owner_of(file: LockFile, processes: ProcessTable) -> ProcessEvidence | None:
    """What is known about the process that a lock names; None if it names none."""
    pid = owner_pid(file)
    return (
        None
        if pid is None
        else owner_in_container(pid, owner_start_ticks(file), processes.look(pid), InnerNamespaces(processes))
    )


def owner_in_container(
    pid: int, recorded: int | None, owner: ProcessEvidence, insides: InnerNamespaces
) -> ProcessEvidence:
    """The owner, found in another pid namespace if the local process with this pid is not it.

    Equal start ticks make it the owner. Without ticks in the lock, or with ticks of another time namespace, a process
    with that pid in a container may be it: then nothing is known.
    """
    is_it = owner.alive is True and (recorded is None or owner.start_ticks == recorded)
    if is_it and (recorded is not None or looks_like_openclaw(owner.argv)):
        return owner
    if owner.alive is None:
        return owner
    living = insides.numbered(pid)
    if not living:
        return owner
    same = next((e for e in living if recorded is not None and e.start_ticks == recorded), None)
    if same is not None:
        return same
    if any(recorded is None or e.start_ticks is None for e in living) and not owner.alive:
        return ProcessEvidence(pid, alive=None, boot_at=owner.boot_at, why_unknown="other-namespace")
    return owner


def judged(
    file: LockFile, owner: ProcessEvidence | None, processes: ProcessTable, now: int, environment: NamespaceEvidence
) -> Verdict:
    """clawtop's verdict on a lock whose owner was looked up, at this moment (ms since the epoch). Earlier clock
    settings are looked up only if times alone would be the proof: that takes milliseconds.
    """
    return judged_from(file, owner, processes, now, seen_from_here(environment, processes))


def seen_from_here(environment: NamespaceEvidence, processes: ProcessTable) -> NamespaceEvidence:
    """The evidence with what this process knows about its machine and namespace, which is the same for every lock."""
    boot_at = environment.boot_at
    if boot_at is None and isinstance(processes, Census):
        boot_at = processes.boot_at()
    standpoint = processes.standpoint if isinstance(processes, SystemProcesses) else None
    began_at = environment.began_at
    if standpoint is not None and not environment.served_here:
        began_at = standpoint.namespace_began()
    return replace(environment, boot_at=boot_at, began_at=began_at)


def judged_from(
    file: LockFile, owner: ProcessEvidence | None, processes: ProcessTable, now: int, seen: NamespaceEvidence
) -> Verdict:
    """As `judged`, for evidence from `seen_from_here`."""
    found = verdict(file, owner, now, seen)
    if found.kind is not VerdictKind.STALE or found.reasons[0] not in BY_THE_CLOCK:
        return found
    standpoint = processes.standpoint if isinstance(processes, SystemProcesses) else None
    return found if standpoint is None else verdict(file, owner, now, replace(seen, settings=standpoint.settings()))


def lock_verdict(file: LockFile, processes: ProcessTable, now: int, environment: NamespaceEvidence) -> Verdict:
    """clawtop's verdict on a lock at this moment (ms since the epoch)."""
    return judged(file, owner_of(file, processes), processes, now, environment)
