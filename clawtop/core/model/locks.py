"""Lock files, their owners, and the verdicts on them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from clawtop.values import dataclass


@dataclass(frozen=True, slots=True)
class ProcessEvidence:
    """What the process table says about a pid now.

    Attributes:
        alive: True, False, or None where it cannot be known (other namespace, other host, no permission, not asked).
        start_ticks: Linux: field 22 of /proc/PID/stat, raw, as OpenClaw records it; else None.
        started_at: when the process began (ms since epoch), where known.
        boot_at: when the machine booted (ms since epoch), where known.
        argv: command line words; empty when unknown.
        uid: owner's user id, where known.
        zombie: dead, but not yet reaped by its parent.
        why_unknown: why `alive` is None.
    """

    pid: int
    alive: bool | None
    start_ticks: int | None = None
    started_at: int | None = None
    boot_at: int | None = None
    argv: tuple[str, ...] = ()
    uid: int | None = None
    zombie: bool = False
    why_unknown: str = ""


class LockKind(StrEnum):
    """Session: `<session>.jsonl.lock`. Auth: auth-profiles.json.lock. Sessions store: sessions.json.lock (A only).
    OAuth refresh: `<state>/locks/oauth-refresh/*.lock`. Gateway: `<tmp>/openclaw-<uid>/gateway.*.lock`.
    """

    SESSION = "session"
    AUTH = "auth"
    SESSIONS_STORE = "sessions_store"
    OAUTH_REFRESH = "oauth_refresh"
    GATEWAY = "gateway"

    @property
    def said(self) -> str:
        """What such a lock guards, in plain words."""
        return _SAID.get(self, self.value)


_SAID = {
    LockKind.AUTH: "auth store",
    LockKind.SESSIONS_STORE: "sessions store",
    LockKind.OAUTH_REFRESH: "login refresh",
}


@dataclass(frozen=True, slots=True)
class LockIdentity:
    """Identifies a lock: device, inode and a digest of the content are equal if it is the same lock."""

    dev: int
    ino: int
    digest: str


@dataclass(frozen=True, slots=True)
class LockFile:
    """A lock file as it was read.

    `payload` is the parsed JSON object, or None when the content is not one; `content_problem` then says what it is
    ("empty", "not JSON", "not an object", "too large", "unreadable").
    """

    path: str
    kind: LockKind
    identity: LockIdentity
    mtime: int
    payload: Mapping[str, Any] | None
    content_problem: str | None = None
    agent: str | None = None
    session_id: str | None = None


class VerdictKind(StrEnum):
    HELD = "held"
    STALE = "stale"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """clawtop's verdict: the only one that ever permits a removal. `reasons` hold the proof, or why it is unknown."""

    kind: VerdictKind
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenClawVerdict:
    """What this OpenClaw version will do with the lock when it wants it, or at its next start.

    `would_remove` is None if that depends on something that cannot be determined from here.
    """

    stale: bool
    reasons: tuple[str, ...]
    would_remove: bool | None


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock file with its owner and both verdicts.

    Attributes:
        leaked: why it is a leftover of a live owner: taken before the owner restarted in-process; else None.
    """

    file: LockFile
    pid: int | None
    created_at: int | None
    start_ticks: int | None
    max_hold_ms: int | None
    owner: ProcessEvidence | None
    verdict: Verdict
    openclaw: OpenClawVerdict
    leaked: str | None = None

    @property
    def since(self) -> int:
        """When it was taken (ms since the epoch), by its record, else by its file; may lie ahead of the clock."""
        return self.created_at if self.created_at is not None else self.file.mtime
