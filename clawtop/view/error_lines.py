"""What an operator reads when something fails: what went wrong, what was not changed, what to do."""

from __future__ import annotations

from clawtop.errors import ClawtopError, LockNotObtainedError
from clawtop.text import shown
from clawtop.view.line import Line, Tone, piece


def error_lines(error: ClawtopError) -> tuple[Line, ...]:
    """At most four lines: the title, who holds the lock if the title does not say, what was not changed, what to do."""
    holder = error.holder if isinstance(error, LockNotObtainedError) and error.holder not in error.title else ""
    facts = (
        (f"✗ {shown(error.title)}", Tone.BAD),
        (f"held by {shown(holder)}" if holder else "", Tone.WARN),
        (shown(error.unchanged), Tone.STRONG),
        (shown(error.hint), Tone.INFO),
    )
    return tuple(piece(text, tone) for text, tone in facts if text)
