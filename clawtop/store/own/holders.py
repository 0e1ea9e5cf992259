"""clawtop's registry of prompt holders on disk, shared by its processes (`<state>/clawtop/holders/`, 0700).

One readable JSON record per session that a process holds, waits for or drains; an idle session has none. A record is
changed by one `core.session.admission.step` at a time, under a lock that lasts for that step. An entry about a process
counts only while that process lives (`store.own.presence`). Records are not flushed to disk: nothing in them outlives
the processes they name.
"""

from __future__ import annotations

from pathlib import Path

from clawtop.core.session.admission import Admission, AdmissionEffect, AdmissionRequest, Ask, Holding, step_without
from clawtop.errors import RefusedError
from clawtop.store.own import holder_record, step_lock
from clawtop.store.own.holder_record import record_key
from clawtop.store.own.presence import Presence, members, steps_dir
from clawtop.text import safe

SHARDS = 64
MOST_READ = 1024


class HolderRecords:
    """Applies admission steps to records. One instance belongs to one thread; any number may exist."""

    def __init__(self, presence: Presence) -> None:
        self.presence = presence
        self.directory = presence.directory
        self._steps = str(steps_dir(presence.directory))
        self._read: dict[str, tuple[bytes, Admission]] = {}
        self._places: dict[str, tuple[str, str]] = {}

    def apply(self, session_file: str, request: AdmissionRequest, now: int) -> tuple[AdmissionEffect, ...] | None:
        """One step on the record of a canonical `session_file`, or None while another process is changing it. Dead
        processes are removed first. Never waits.

        Raises:
            RefusedError: the record cannot be understood and its author may be alive; or other processes could not
            tell that this one is alive.
        """
        if isinstance(request, Ask):
            self.presence.assert_visible()
        key, path = self._place(session_file)
        with step_lock.taken(f"{self._steps}/{int(key[:8], 16) % SHARDS:02d}.lock") as free:
            if not free:
                return None
            before = self._load(session_file)
            dead = frozenset(member for member in before.members if not self.presence.alive(member))
            state, effects = step_without(before, dead, request, now)
            if state != before:
                written = holder_record.save(path, state, self.presence.member)
                if written is None:
                    self._read.pop(key, None)
                else:
                    self._read[key] = (written, state)
            self._remember(session_file, state)
            return effects

    def holder(self, session_file: str) -> Holding | None:
        """Who holds a canonical session file, if alive. An unreadable record counts as no holder."""
        try:
            holding = self._parsed(session_file).holder
        except (OSError, ValueError):
            return None
        return holding if holding is not None and self.presence.alive(holding.who.member) else None

    def _place(self, session_file: str) -> tuple[str, str]:
        """The key of a session's record, and its path."""
        known = self._places.get(session_file)
        if known is None:
            if len(self._places) >= MOST_READ:
                self._places.clear()
            key = record_key(session_file)
            known = self._places[session_file] = key, str(self.directory / f"{key}.json")
        return known

    def _parsed(self, session_file: str) -> Admission:
        """The current record; unchanged bytes are not parsed again. Raises like `holder_record.load`."""
        key, path = self._place(session_file)
        content = holder_record.content(path)
        known = self._read.get(key)
        if known is None or known[0] != content:
            if len(self._read) >= MOST_READ:
                self._read.clear()
            known = self._read[key] = (content, holder_record.parsed(content))
        return known[1]

    def _remember(self, session_file: str, state: Admission) -> None:
        if state.holder is not None and state.holder.who.member == self.presence.member:
            self.presence.held.add(session_file)
        else:
            self.presence.held.discard(session_file)

    def _load(self, session_file: str) -> Admission:
        try:
            return self._parsed(session_file)
        except FileNotFoundError:
            return Admission(session_file)
        except (OSError, ValueError) as error:
            living = [member for member in members(self.directory) if self.presence.alive(member)]
            if living != [self.presence.member] or session_file in self.presence.held:
                path = Path(self._place(session_file)[1])
                raise RefusedError(
                    f"the holder record {path.name} cannot be read",
                    hint=f"once no clawtop is running, remove {safe(path)}",
                    unchanged="the session was not touched",
                ) from error
            return Admission(session_file)
