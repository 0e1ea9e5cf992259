"""Trouble on this machine that looks like a failed call: a full disk, a locked database, an unwritable file.

Another account or model would fail too, so the run ends with the actual error (thread 83510). What a provider said
explicitly always wins.
"""

from __future__ import annotations

import re

from clawtop.core.failure.record import ErrorRecord, ErrorValue, walk
from clawtop.core.failure.rules import normalized
from clawtop.core.failure.status import Signal, inferred_status
from clawtop.patterns import regex

CODES = frozenset(
    {"ENOSPC", "EDQUOT", "EROFS", "EIO", "EMFILE", "ENFILE", "EACCES", "EPERM", "ENOENT", "SQLITE_BUSY", "SQLITE_FULL"}
)
"""What the operating system and the database say of this machine's own files."""

_WORDS = regex(
    r"\A(?:error:\s*)?(?:enospc|edquot|erofs|eio|emfile|enfile|eacces|eperm|enoent)\b"
    r"|\bno space left on device\b|\bdatabase (?:is|table is) locked\b|\bdatabase or disk is full\b"
    r"|\bsession file (?:locked|path must be within)\b|\bsession file changed while embedded prompt lock\b"
    r"|\btimed out waiting for embedded session file owner\b|\bsession write lock\b",
    re.ASCII,
)


def is_local_trouble(value: ErrorValue, signal: Signal) -> bool:
    """Whether the error comes from this machine; never where a status or a provider's code is named."""
    if inferred_status(signal.status, signal.message) is not None:
        return False
    if (signal.code or "").strip().upper() in CODES:
        return True
    if signal.code is not None:
        return False
    texts = (each.message if isinstance(each, ErrorRecord) else each for each in walk(value))
    return any(isinstance(text, str) and _WORDS.search(normalized(text)) is not None for text in texts)
