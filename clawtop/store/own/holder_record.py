"""The record of one session's admission: its name, and the state as readable JSON and back.

Everything is checked on the way in; a record that says anything unexpected is a ValueError, never a guess.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from clawtop.core.session.admission import Admission, Claimant, Closing, Holding
from clawtop.nested import loads
from clawtop.store import door
from clawtop.store.disk import disk

_MAX_RECORD_BYTES = 4 * 1024 * 1024


def canonical(session_file: str | Path) -> str:
    """The one name of a session file: absolute, symlinks of the directory and of the file itself resolved."""
    return os.path.realpath(session_file)


def record_key(session_file: str) -> str:
    """The name of a session's record, from its canonical path."""
    return hashlib.sha256(os.fsencode(session_file)).hexdigest()[:32]


def load(path: Path) -> Admission:
    """The state at `path`. FileNotFoundError without one; ValueError if it cannot be parsed."""
    return parsed(content(path))


def content(path: str | Path) -> bytes:
    """The content of `path`. Raises OSError."""
    return door.read(path, _MAX_RECORD_BYTES).data


def parsed(record: bytes) -> Admission:
    """The state that a record says. ValueError when it cannot be understood."""
    try:
        return _parsed(loads(record))
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("not a holder record") from error


def dumped(state: Admission) -> bytes:
    """`state` as a record."""
    return _text_of(_written(state))


def save(path: str | Path, state: Admission, author: str) -> bytes | None:
    """Write `state` to `path` in one step, or remove the file if nobody holds or awaits the session (None). Returns
    what was written.

    Not flushed to disk: a record names live processes, and none survives a power failure.
    """
    if state.idle:
        disk.unlink_if_there(path)
        return None
    temporary = f"{path}.{author}.tmp"
    record = dumped(state)
    try:
        with door.closing(_fresh(temporary)) as descriptor:
            door.write_all(descriptor, record)
        disk.rename(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            disk.unlink(temporary)
        raise
    return record


def _fresh(temporary: str) -> int:
    """A new file under a name that only this process uses: a leftover there is from an interrupted save."""
    try:
        return door.create(temporary)
    except FileExistsError:
        disk.unlink(temporary)
        return door.create(temporary)


def _text_of(record: dict[str, Any]) -> bytes:
    """One member per line: readable, and avoids the slow encoder that `indent` uses."""
    members = ",\n".join(f" {json.dumps(name)}: {json.dumps(value)}" for name, value in record.items())
    return f"{{\n{members}\n}}\n".encode()


def _written(state: Admission) -> dict[str, Any]:
    holding, closing = state.holder, state.closing
    return {
        "session": state.session_file,
        "holder": holding
        and {
            **_written_claimant(holding.who),
            "granted_at": holding.granted_at,
            "phase": holding.phase,
            "profile": holding.profile,
        },
        "waiters": [_written_claimant(waiter) for waiter in state.waiters],
        "closed": closing and {name: getattr(closing, name) for name in Closing.__slots__},
        "freed_at": state.freed_at,
        "next_ticket": state.next_ticket,
    }


def _written_claimant(who: Claimant) -> dict[str, Any]:
    return {name: getattr(who, name) for name in Claimant.__slots__}


def _parsed(record: dict[str, Any]) -> Admission:
    holder, closed = record["holder"], record["closed"]
    return Admission(
        session_file=_text(record["session"]),
        holder=None
        if holder is None
        else Holding(
            _parsed_claimant(holder),
            _number(holder["granted_at"]),
            _text(holder["phase"]),
            _maybe_text(holder["profile"]),
        ),
        waiters=tuple(_parsed_claimant(waiter) for waiter in record["waiters"]),
        next_ticket=_number(record["next_ticket"]),
        freed_at=_maybe_number(record["freed_at"]),
        closing=None
        if closed is None
        else Closing(
            drain_id=_text(closed["drain_id"]),
            member=_text(closed["member"]),
            pid=_number(closed["pid"]),
            since=_number(closed["since"]),
            expires_at=_number(closed["expires_at"]),
            reason=_text(closed["reason"]),
        ),
    )


def _parsed_claimant(part: dict[str, Any]) -> Claimant:
    return Claimant(
        token=_text(part["token"]),
        member=_text(part["member"]),
        pid=_number(part["pid"]),
        lane=_text(part["lane"]),
        run_id=_text(part["run_id"]),
        since=_number(part["since"]),
        session_key=_maybe_text(part["session_key"]),
        agent=_maybe_text(part["agent"]),
        deadline=_maybe_number(part["deadline"]),
        wake=_text(part["wake"]),
        ticket=_number(part["ticket"]),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("not a string")  # noqa: TRY004 - one kind of error for a record that cannot be understood
    return value


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("not a whole number")  # noqa: TRY004 - as above
    return value


def _maybe_text(value: Any) -> str | None:
    return None if value is None else _text(value)


def _maybe_number(value: Any) -> int | None:
    return None if value is None else _number(value)
