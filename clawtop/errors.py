"""Errors that an operator may read: what happened, what to do, and what was not changed.

Every message is written for a screen: it names files and owners and holds no secret. Foreign text inside a
message passes `clawtop.text.shown` before it gets here.
"""

from __future__ import annotations


class ClawtopError(Exception):
    """Base of every error that clawtop reports.

    Attributes:
        title: one line, what happened.
        hint: what the operator can do next; may be empty.
        unchanged: what was *not* done or changed because of it; may be empty.
    """

    exit_code: int = 3

    def __init__(self, title: str, *, hint: str = "", unchanged: str = "") -> None:
        super().__init__(title)
        self.title = title
        self.hint = hint
        self.unchanged = unchanged

    def __str__(self) -> str:
        title, *others = [part.rstrip(".") for part in (self.title, self.unchanged, self.hint) if part] or [""]
        *first, last = [title, *map(_as_sentence, others)]
        return " ".join([*(part if part.endswith("?") else f"{part}." for part in first), last])


_COMMANDS = frozenset({"clawtop", "openclaw", "pipx", "ssh"})
"""A sentence may begin with these in lower case, as they are typed."""


def _as_sentence(text: str) -> str:
    """With a capital letter, unless the first word is a command, a path or an option."""
    word = text.split(" ", 1)[0].rstrip(",;:")
    return text[:1].upper() + text[1:] if word.isalpha() and word not in _COMMANDS else text


class UsageError(ClawtopError):
    """The command line is wrong (exit 64, as sysexits EX_USAGE)."""

    exit_code = 64


class StateUnreadableError(ClawtopError):
    """The state directory, or the part of it that was asked for, cannot be read (exit 3)."""


class RefusedError(ClawtopError):
    """An operation was not started: not allowed, not safe, or not what the operator pinned (exit 1)."""

    exit_code = 1


class LockNotObtainedError(ClawtopError):
    """A lock stayed with its holder for the whole wait (exit 2). `holder` names it for people."""

    exit_code = 2

    def __init__(self, title: str, *, holder: str = "", hint: str = "", unchanged: str = "") -> None:
        super().__init__(title, hint=hint, unchanged=unchanged)
        self.holder = holder


class OperationFailedError(ClawtopError):
    """An operation began and failed; the store is as it was (exit 3)."""


class CoordinationError(ClawtopError):
    """Local contention on one session: never a model failure, never moves the fallback chain (thread 83510).

    `code` is OpenClaw's code for the same condition where it has one.
    """

    code: str = ""


class SessionWriteLockTimeoutError(CoordinationError):
    """`<session>.jsonl.lock` stayed with its owner for the whole acquire timeout."""

    code = "OPENCLAW_SESSION_WRITE_LOCK_TIMEOUT"


class SessionTakeoverError(CoordinationError):
    """The session file changed while its lock was released for a provider call (the fence no longer matches)."""

    code = "CLAWTOP_SESSION_TAKEOVER"


class SessionContendedError(CoordinationError):
    """Another prompt holder has the session, and the caller asked not to wait, or waited to its deadline."""

    code = "CLAWTOP_SESSION_CONTENDED"

    def __init__(self, title: str, *, holder: str = "", hint: str = "", unchanged: str = "") -> None:
        super().__init__(title, hint=hint, unchanged=unchanged)
        self.holder = holder
