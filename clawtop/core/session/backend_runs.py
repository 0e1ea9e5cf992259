"""Whose runs the processes below a gateway work on, as witnesses.

A process that says which session it works in is certain. A nameless one belongs to the one session that may be running,
if there is only one and every session is known. Which of several it is stays open: nothing is stopped on a guess, and a
session that may be its is unknown unless its runs have ended since.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain

from clawtop.core.model import BackendProcess, Session, Witness, WitnessKind, session_place
from clawtop.core.session.disk_witness import RUNNING
from clawtop.core.session.key import agent_of
from clawtop.core.session.listed import perhaps_working, stored_as_running, with_key

TOUCHED_MS = 60_000
"""OpenClaw writes a session's row when it takes a message; its process may follow this much later."""


def process_witnesses(
    processes: Iterable[BackendProcess], sessions: Sequence[Session], *, complete: bool = True
) -> Mapping[str, tuple[Witness, ...]]:
    """What the processes show about these sessions, by key.

    Args:
        sessions: judged by every other witness.
        complete: they are all that the gateway has; else those of some agents.
    """
    told: dict[str, list[Witness]] = {}
    unplaced: list[BackendProcess] = []
    agents = {session.agent for session in sessions}
    for process in processes:
        if process.key is not None and with_key(sessions, process.key):
            told.setdefault(process.key, []).append(_witness(process))
        elif process.key is None or agent_of(process.key) in {None, *agents}:
            unplaced.append(process)
    named = {process.backend for process in unplaced}
    may_run = chain(perhaps_working(sessions), stored_as_running(sessions))
    some = {session_place(session): session for session in may_run}.values()
    open_ones = [session for session in some if _may_run(session, named) and session.key not in told]
    alike = Counter(process.backend for process in unplaced)
    for process in unplaced:
        own = [one for one in open_ones if one.provider == process.backend] or open_ones
        alone = len(own) == 1 and alike[process.backend] == 1
        if alone and complete and process.key is None:
            told.setdefault(own[0].key, []).append(_witness(process))
        elif not process.stays and (alone or not own):
            for session in own or sessions:
                if session.key not in told and (alone or _may_be_its(session, process)):
                    told[session.key] = [_doubt(process)]
    return {key: tuple(found) for key, found in told.items()}


def unseen_witnesses(backends: Iterable[str], sessions: Sequence[Session]) -> Mapping[str, tuple[Witness, ...]]:
    """What is open about the sessions of these runtimes where the processes below the gateway cannot be seen."""
    known = frozenset(backends)
    what = "it may have a process of its own under the gateway, which cannot be seen"
    doubt = Witness(WitnessKind.PROCESS, None, what)
    return {one.key: (doubt,) for one in stored_as_running(sessions) if one.provider in known}


def _may_run(session: Session, backends: Collection[str]) -> bool:
    """Whether a run may be active whose only sign of an end is a missing lock: one in its own process takes none."""
    return session.active is not False or (session.status == RUNNING and session.provider in backends)


def _witness(process: BackendProcess) -> Witness:
    """A process that stays between turns shows no run by itself; an end recorded since it started outweighs it."""
    return Witness(
        WitnessKind.PROCESS,
        None if process.stays else True,
        f"its own process {process.pid} ({process.backend}) runs under the gateway",
        at=process.started_at if process.stays else None,
        since=process.started_at,
        pid=process.pid,
        memory=process.memory,
    )


def _doubt(process: BackendProcess) -> Witness:
    what = f"process {process.pid} ({process.backend}) under the gateway works for an unknown session"
    return Witness(WitnessKind.PROCESS, None, what, since=process.started_at)


def _may_be_its(session: Session, process: BackendProcess) -> bool:
    if session.provider not in {None, process.backend} or process.started_at is None:
        return session.provider == process.backend
    if session.ended_at is not None and session.ended_at >= process.started_at:
        return False
    touched = max(session.updated_at or 0, session.started_at or 0)
    return abs(touched - process.started_at) <= TOUCHED_MS
