"""Who holds or awaits clawtop's sessions now, read from the holder records of a state directory, for any process.

Creates nothing. Entries of dead processes count as gone (`store.own.holders` says how records are kept).
"""

from __future__ import annotations

import os
from pathlib import Path

from clawtop.core.model import PromptHolder, Waiter
from clawtop.core.session.admission import Admission, Reap, step
from clawtop.store import door
from clawtop.store.own import holder_record
from clawtop.store.own.holder_record import record_key
from clawtop.store.own.presence import Presence, holders_dir, is_alive


def read_admissions(state_dir: str | Path) -> tuple[Admission, ...]:
    """Every session with a living holder, waiter or closing. Creates nothing; damaged records are left out."""
    directory = holders_dir(state_dir)
    try:
        there = door.has_own(directory.parent, directory)
        paths = sorted(path for path in directory.iterdir() if path.suffix == ".json") if there else []
    except OSError:
        return ()
    living = dict[str, bool]()
    found = (_living_part(directory, path, living) for path in paths)
    return tuple(state for state in found if state is not None)


def read_admission(directory: Path, session_file: str) -> Admission | None:
    """The same for one canonical session file in a holders directory; None if nobody holds or awaits it."""
    return _living_part(directory, directory / f"{record_key(session_file)}.json", {})


def read_holder(directory: Path, session_file: str) -> PromptHolder | None:
    """Who holds a canonical session file, in any process."""
    state = read_admission(directory, session_file)
    return None if state is None or state.holder is None else prompt_holder(state)


def _living_part(directory: Path, path: Path, living: dict[str, bool]) -> Admission | None:
    try:
        state = holder_record.load(path)
    except (OSError, ValueError):
        return None
    for member in state.members - living.keys():
        living[member] = is_alive(directory, member)
    dead = frozenset(member for member in state.members if not living[member])
    state, _ = step(state, Reap(dead), 0) if dead else (state, ())
    return None if state.idle else state


def profiles_in_flight(directory: Path) -> dict[str, int]:
    """How many turns of other processes use each auth profile now. Creates nothing; the caller's own do not count."""
    own = Presence.made(directory)
    ours = {f"{record_key(path)}.json" for path in tuple(own.held)} if own is not None else set[str]()
    found: dict[str, int] = {}
    living = dict[str, bool]()
    try:
        names = [name for name in os.listdir(directory) if name.endswith(".json") and name not in ours]  # noqa: PTH208
    except OSError:
        return found
    for name in names:
        state = _living_part(directory, directory / name, living)
        holding = state.holder if state is not None else None
        if holding is not None and holding.profile is not None:
            found[holding.profile] = found.get(holding.profile, 0) + 1
    return found


def draining_holder(state: Admission) -> PromptHolder | None:
    """The drain that keeps a free session closed, as a holder, with the runs that wait for it to end."""
    closing = state.closing
    if closing is None or state.holder is not None:
        return None
    return PromptHolder(
        session_file=state.session_file,
        session_key=None,
        agent=None,
        lane=None,
        run_id=closing.drain_id,
        profile=None,
        phase="draining",
        since=closing.since,
        pid=closing.pid,
        source="clawtop",
        waiters=_waiters(state),
    )


def prompt_holder(state: Admission) -> PromptHolder:
    """The holder of a held session as the snapshot shows it. ValueError if nobody holds it."""
    holding = state.holder
    if holding is None:
        raise ValueError("this session has no holder")
    return PromptHolder(
        session_file=state.session_file,
        session_key=holding.who.session_key,
        agent=holding.who.agent,
        lane=holding.who.lane,
        run_id=holding.who.run_id,
        profile=holding.profile,
        phase=holding.phase,
        since=holding.granted_at,
        pid=holding.who.pid,
        source="clawtop",
        waiters=_waiters(state),
    )


def _waiters(state: Admission) -> tuple[Waiter, ...]:
    return tuple(
        Waiter(waiter.ticket, waiter.pid, waiter.lane, waiter.run_id, waiter.since, waiter.deadline)
        for waiter in state.waiters
    )
