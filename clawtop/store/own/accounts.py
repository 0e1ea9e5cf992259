"""What clawtop's processes tell each other about accounts: recent failures, when providers allow them again, probes.

`<state>/clawtop/accounts.json` (0600), changed under a lock of the operating system and read again when it changed. A
note counts before its mark has reached OpenClaw's store, and in addition to it: the store has the schedule's window, a
note the provider's own time. Notes expire, and anything that cannot be read is ignored.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

import filelock

from clawtop import nested
from clawtop.core.javascript import MAX_SAFE_INTEGER
from clawtop.core.model import ProviderTime
from clawtop.store import door
from clawtop.store.atomic import put
from clawtop.store.own.presence import Presence, holders_dir
from clawtop.values import dataclass

LOCK_WAIT_S = 0.1
MAX_BYTES = 1024 * 1024
PROBE_INTERVAL_MS = 30_000
KEPT = 2000
"""How many notes are kept: the latest ones."""


@dataclass(frozen=True, slots=True)
class AccountNote:
    """One account's failure, as one process saw it.

    Attributes:
        at: when it failed; `until`: when it may be asked again; ms since the epoch.
        model: the model that it is about; None: all of them.
        reason: why it failed.
        told: the time that the provider itself named; it may be before `until`. None: it did not say.
    """

    at: int
    until: int
    reason: str
    model: str | None = None
    told: int | None = None

    @property
    def provider_time(self) -> ProviderTime | None:
        """The time that the provider itself named, as a `ProviderTime`; None if it named none."""
        return None if self.told is None else ProviderTime(self.told, self.at, self.reason, self.model)


@dataclass(frozen=True, slots=True)
class Accounts:
    """The notes by (owner agent, profile), and when each provider was probed last, by key."""

    notes: Mapping[tuple[str, str], AccountNote] = field(default_factory=dict)
    probes: Mapping[str, int] = field(default_factory=dict)


class AccountNotes:
    """The file of one state directory. Creates nothing before the first change; no call takes long or fails."""

    def __init__(self, state_dir: str | Path) -> None:
        self._path = Path(state_dir) / "clawtop" / "accounts.json"
        self._holders = holders_dir(state_dir)
        self._stamp: tuple[int, int, int] | None = None
        self._known = Accounts()

    def read(self) -> Accounts:
        """The current notes."""
        try:
            facts = self._path.stat()
        except OSError:
            self._stamp, self._known = None, Accounts()
            return self._known
        stamp = (facts.st_ino, facts.st_mtime_ns, facts.st_size)
        if stamp != self._stamp:
            self._stamp, self._known = stamp, _loaded(self._path)
        return self._known

    def note(self, agent: str, profile: str, note: AccountNote) -> None:
        """Record for all processes that an account failed."""
        self._change(note.at, lambda notes, _: notes.__setitem__((agent, profile), note))

    def forget(self, agent: str, profile: str, now: int) -> None:
        """The account answered or was cleared: its notes are removed."""
        if (agent, profile) in self.read().notes:
            self._change(now, lambda notes, _: notes.pop((agent, profile), None))

    def claim_probe(self, key: str, now: int) -> bool:
        """Whether the provider behind `key` may be probed now; the first process to ask gets it for a while.

        If the file cannot be changed, other processes would not know, so the answer is no.
        """
        if not _is_open(self.read().probes, key, now):
            return False
        won = False

        def claim(_: dict[tuple[str, str], AccountNote], probes: dict[str, int]) -> None:
            nonlocal won
            won = _is_open(probes, key, now)
            if won:
                probes[key] = now

        return self._change(now, claim) and won

    def _change(self, now: int, change: Callable[[dict[tuple[str, str], AccountNote], dict[str, int]], object]) -> bool:
        try:
            Presence.of(self._holders)  # makes the directory, and refuses another user's
            with self._lock():
                known = _loaded(self._path)
                notes = {who: note for who, note in known.notes.items() if note.until > now}
                probes = {key: at for key, at in known.probes.items() if now - at < PROBE_INTERVAL_MS}
                change(notes, probes)
                put(str(self._path), _written(notes, probes), durable=False)
        except (OSError, filelock.Timeout, NotImplementedError, ValueError):
            return False
        return True

    def _lock(self) -> filelock.BaseFileLock:
        path = self._path.with_name("accounts.lock")
        door.own_lock(path)
        return filelock.FileLock(
            path, LOCK_WAIT_S, 0o600, thread_local=False, fallback_to_soft=False, poll_interval=0.002
        )


def _is_open(probes: Mapping[str, int], key: str, now: int) -> bool:
    """A claim may be a little later than `now`, which was taken before waiting for the lock."""
    return abs(now - probes.get(key, 0)) >= PROBE_INTERVAL_MS


def _written(notes: Mapping[tuple[str, str], AccountNote], probes: Mapping[str, int]) -> bytes:
    latest = sorted(notes.items(), key=lambda item: item[1].at)[-KEPT:]
    rows = [
        {"agent": agent, "profile": profile, **{name: getattr(note, name) for name in AccountNote.__slots__}}
        for (agent, profile), note in latest
    ]
    return json.dumps({"notes": rows, "probes": dict(probes)}).encode() + b"\n"


def _loaded(path: Path) -> Accounts:
    try:
        document = nested.loads(door.read(path, MAX_BYTES).data)
    except (OSError, ValueError):
        return Accounts()
    if not isinstance(document, dict):
        return Accounts()
    rows, probes = document.get("notes"), document.get("probes")
    notes: dict[tuple[str, str], AccountNote] = {}
    for row in rows if isinstance(rows, list) else ():
        if not isinstance(row, dict):
            continue
        with contextlib.suppress(KeyError, TypeError):
            notes[_name(row["agent"]), _name(row["profile"])] = _note(row)
    times = {key: at for key, at in probes.items() if _is_time(at)} if isinstance(probes, dict) else {}
    return Accounts(notes, times)


def _note(row: Mapping[str, Any]) -> AccountNote:
    model = row.get("model")
    if not (_is_time(row["at"]) and _is_time(row["until"])):
        raise TypeError("not a time")
    named = _name(model) if model is not None else None
    told = row.get("told")
    return AccountNote(row["at"], row["until"], _name(row["reason"]), named, told if _is_time(told) else None)


def _name(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a name")
    return value


def _is_time(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_SAFE_INTEGER
