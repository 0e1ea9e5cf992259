"""Subsets of all sessions, by question. The cost follows what changed since the last question, not the total."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from clawtop.core.carried import Grouping, Ordering, Places, Selection, Sorted, derived
from clawtop.core.model import Lock, Session, WitnessKind
from clawtop.core.session.disk_witness import RUNNING

_WORKING = Selection[Session](lambda session: session.active)
_PERHAPS_WORKING = Selection[Session](lambda session: session.active is not False)
_BUSY = Selection[Session](lambda session: session.active or session.waiters)
_TROUBLED = Selection[Session](lambda session: session.problems)
_SUSPENDED = Selection[Session](lambda session: session.suspension)
_PINNED = Selection[Session](lambda session: session.profile)
_PINNED_BY_PEOPLE = Selection[Session](lambda session: session.profile is not None and session.profile_source == "user")
_STORED_AS_RUNNING = Selection[Session](lambda session: session.status == RUNNING)


def _is_telling(session: Session) -> object:
    return session.exchanges or session.turns or session.problems or _has_input(session)


def _has_input(session: Session) -> bool:
    return any(witness.kind is WitnessKind.INPUT for witness in session.witnesses)


_TELLING = Selection[Session](_is_telling)
_NONE: Mapping[int, Session] = MappingProxyType({})
_BY_KEY = Places[Session, str](lambda session: session.key)
_BY_FILE = Places[Session, str](lambda session: session.file)
_BY_ID = Places[Session, str](lambda session: session.session_id)
_BY_PIN = Grouping[Session, tuple[str, str]](lambda s: (s.agent, s.profile) if s.profile is not None else None)


def _when_ended(session: Session) -> tuple[int, str, str, str]:
    return session.ended_at or 0, session.agent, session.key, session.file or ""


_BY_END = Ordering[Session, Session](lambda session: (session,) if session.ended_at else (), _when_ended)


def working(sessions: Sequence[Session]) -> Iterable[Session]:
    """Those in which a run is going on."""
    return derived(sessions, _WORKING).values()


def perhaps_working(sessions: Sequence[Session]) -> Iterable[Session]:
    """Those in which no run is known to be over."""
    return derived(sessions, _PERHAPS_WORKING).values()


def busy(sessions: Sequence[Session]) -> Iterable[Session]:
    """Those with a run or with turns that wait."""
    return derived(sessions, _BUSY).values()


def troubled(sessions: Sequence[Session]) -> Iterable[Session]:
    """Those with problems."""
    return derived(sessions, _TROUBLED).values()


def stored_as_running(sessions: Sequence[Session]) -> Iterable[Session]:
    """Those whose list calls them running."""
    return derived(sessions, _STORED_AS_RUNNING).values()


def pinned(sessions: Sequence[Session]) -> Iterable[Session]:
    """Those pinned to an account, whoever chose it."""
    return derived(sessions, _PINNED).values()


def pinned_by_people(sessions: Sequence[Session]) -> tuple[Session, ...]:
    """Those pinned to an account by a person."""
    return tuple(derived(sessions, _PINNED_BY_PEOPLE).values())


def pinned_to(sessions: Sequence[Session], agent: str, profile: str) -> Collection[Session]:
    """The sessions of this agent that are pinned to this account."""
    return derived(sessions, _BY_PIN).get((agent, profile), _NONE).values()


def telling(sessions: Sequence[Session]) -> Iterable[Session]:
    """Those with messages and turns known beyond their row."""
    return derived(sessions, _TELLING).values()


def with_key(sessions: Sequence[Session], key: str) -> list[Session]:
    """The sessions with this key, of any agent."""
    return _BY_KEY.of(sessions, key)


def of_file(sessions: Sequence[Session], file: str) -> list[Session]:
    """The sessions with this transcript."""
    return _BY_FILE.of(sessions, file)


def locked_key(lock: Lock, sessions: Sequence[Session]) -> str | None:
    """The key of the session that a session lock is for; None if none is listed."""
    found = _BY_ID.of(sessions, lock.file.session_id) if lock.file.session_id is not None else ()
    return next((session.key for session in found if session.agent == lock.file.agent), None)


def key_places(sessions: Sequence[Session], keys: Iterable[str]) -> list[int]:
    """The places of the sessions with these keys, ascending."""
    return sorted({place for key in keys for place in _BY_KEY.places(sessions, key)})


def listed_places(sessions: Sequence[Session], rows: Mapping[tuple[str, str], Session]) -> dict[int, Session] | None:
    """The rows by the place of the session with their agent and key; None if one of them is not listed."""
    found = {
        place: row
        for (agent, key), row in rows.items()
        for place in _BY_KEY.places(sessions, key)
        if sessions[place].agent == agent
    }
    return found if len(found) == len(rows) else None


def ended_since(sessions: Sequence[Session], since: int) -> Iterator[Session]:
    """Those that ended after `since` (ms since the epoch), the latest first."""
    ended: Sorted[Session] = derived(sessions, _BY_END)
    for session in reversed(ended):
        if (session.ended_at or 0) <= since:
            return
        yield session


def concerned_places(
    sessions: Sequence[Session], *, keys: Iterable[str] = (), files: Iterable[str] = (), suspended: bool = False
) -> list[int]:
    """The places of the sessions with these keys or transcripts, and of those that OpenClaw suspended."""
    found = {place for key in keys for place in _BY_KEY.places(sessions, key)}
    found.update(place for file in files for place in _BY_FILE.places(sessions, file))
    if suspended:
        resting: Mapping[int, Session] = derived(sessions, _SUSPENDED)
        found.update(resting)
    return sorted(found)
