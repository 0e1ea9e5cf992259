"""The fence: whether anyone else changed the session file while its lock was released (OpenClaw 2026.5.18 on).

A fingerprint is taken when the lock is released and compared when it is reacquired. A difference is a takeover,
unless the change is one that this OpenClaw version accepts. Pure: the caller reads the file and passes its bytes.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NoReturn

from clawtop import nested
from clawtop.patterns import regex
from clawtop.values import dataclass

_LINE_ENDS = regex(r"\r?\n")


@dataclass(frozen=True, slots=True)
class FileFingerprint:
    """A session file's metadata, all of which is compared; nothing of its content."""

    exists: bool
    dev: int = 0
    ino: int = 0
    size: int = 0
    mtime_ns: int = 0
    ctime_ns: int = 0


MISSING = FileFingerprint(exists=False)


class FileChange(StrEnum):
    """How a file differs from its fingerprint."""

    NONE = "none"
    GROWN = "grown"
    """The same file, longer: the appended bytes decide."""
    TOUCHED = "touched"
    """The same file, size and mtime; only the ctime moved: the bytes decide."""
    REPLACED = "replaced"
    """Anything else: gone, new, shorter, rewritten."""


def change(before: FileFingerprint, now: FileFingerprint) -> FileChange:
    """What happened between two fingerprints. Missing both times is no change."""
    if before == now:
        return FileChange.NONE
    if not (before.exists and now.exists) or (before.dev, before.ino) != (now.dev, now.ino):
        return FileChange.REPLACED
    if now.size > before.size:
        return FileChange.GROWN
    same_content_facts = (before.size, before.mtime_ns) == (now.size, now.mtime_ns)
    return FileChange.TOUCHED if same_content_facts else FileChange.REPLACED


def accepts_append(appended: bytes) -> bool:
    """Whether 2026.5.20 accepts appended bytes as the run's own output: each line blank, or of role assistant."""
    text = appended.decode("utf-8", "replace")
    return all(_blank_or_assistant(line) for line in _LINE_ENDS.split(text))


def _blank_or_assistant(line: str) -> bool:
    line = line.strip("\ufeff \t\n\r\v\f\u00a0\u2028\u2029")
    if not line:
        return True
    try:
        entry = nested.loads(line, parse_constant=_no_constant)
    except ValueError:
        return False
    return _role(entry) == "assistant"


def _role(entry: object) -> object:
    """The entry's own role where it is a string, else its message's."""
    if not isinstance(entry, dict):
        return None
    if isinstance(entry.get("role"), str):
        return entry["role"]
    message = entry.get("message")
    return message.get("role") if isinstance(message, dict) else None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
