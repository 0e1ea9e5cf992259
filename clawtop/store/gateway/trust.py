"""Whose gateway it is: one that belongs to a different user than the state directory is not trusted.

Another user's lock or process proves nothing, and nothing is sent to it: the lock directory is in a temporary
directory where any user can create it first (docs/invariants.md 12).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from clawtop.core.model import Gateway, GatewayState, Lock, ProcessEvidence, VerdictKind
from clawtop.store.owners import user_name


def uid_of(path: str) -> int | None:
    """The owner of a file or directory, links not followed; None if that cannot be seen."""
    try:
        return os.lstat(path).st_uid
    except (OSError, ValueError):
        return None


def foreign(lock: Lock, owner: int, uid: Callable[[str], int | None] = uid_of) -> str | None:
    """Which part of a gateway's lock belongs to a user other than `owner`, and to whom; None: nothing visible does.

    The process of a stale lock is not checked: its pid may belong to anybody by now.
    """
    process = lock.owner if lock.verdict.kind is not VerdictKind.STALE else None
    parts = (
        ("its lock", uid(lock.file.path)),
        ("the directory of its lock", uid(os.path.dirname(lock.file.path))),  # noqa: PTH120 - as OpenClaw spells it
        (f"process {lock.pid}", process.uid if process is not None and process.alive else None),
    )
    return next((_words(what, whose, owner) for what, whose in parts if whose is not None and whose != owner), None)


def believed(
    gateway: Gateway, locks: Iterable[Lock], doubts: Iterable[str], owner: int, look: Callable[[int], ProcessEvidence]
) -> Gateway:
    """The gateway, if it is the owner's; else unknown, with the actual owner.

    Args:
        gateway: as shown by what belongs to `owner`.
        locks: those of its locks that are `owner`'s, with their process.
        doubts: the parts of locks that are not stale which belong to others, as from `foreign`.
        look: asked of a process that no lock names.
    """
    if gateway.state is GatewayState.LIVE and gateway.pid is not None:
        if any(lock.pid == gateway.pid for lock in locks):
            return gateway
        process = look(gateway.pid)
        if not process.alive or process.uid is None or process.uid == owner:
            return gateway
        return _distrusted(_words(f"process {gateway.pid}", process.uid, owner))
    doubt = next(iter(doubts), None)
    return gateway if doubt is None else _distrusted(doubt)


def _distrusted(why: str) -> Gateway:
    how = "it belongs to a different user than the state directory"
    return Gateway(GatewayState.UNKNOWN, how=how, distrust=why)


def _words(what: str, whose: int, owner: int) -> str:
    return f"{what} belongs to {user_name(whose)}, the state directory to {user_name(owner)}"
