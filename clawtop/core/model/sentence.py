"""Sentences whose times and names are values, so that the code that shows one can word them for its reader.

A screen shows the operator's name for a session, and times in the operator's zone; JSON keeps ids and UTC.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from typing import NamedTuple

from clawtop.text import safe

ID_CELLS = 80


class Moment(NamedTuple):
    """A time that a sentence mentions, in ms since the epoch."""

    at: int

    def __str__(self) -> str:
        try:
            return f"{datetime.fromtimestamp(self.at / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
        except (ValueError, OverflowError, OSError):
            return str(self.at)  # outside the calendar


class Naming(Enum):
    """What a name in a sentence is the name of."""

    AGENT = "agent"
    SESSION = "session"


class Named(NamedTuple):
    """An agent or a session that a sentence mentions, by exact id or key."""

    what: Naming
    id: str

    def __str__(self) -> str:
        return safe(self.id, ID_CELLS)


Sentence = str | tuple[str | Moment | Named, ...]
"""Safe text, with times and names as values in between."""


def plain_text(sentence: Sentence, say: Callable[[Moment | Named], str] = str) -> str:
    """The sentence with its values worded by `say`; by default exact ids, and times in UTC."""
    if isinstance(sentence, str):
        return sentence
    return "".join(part if isinstance(part, str) else say(part) for part in sentence)


def joined(*sentences: Sentence) -> Sentence:
    """Several sentences joined into one."""
    return tuple(part for each in sentences for part in ((each,) if isinstance(each, str) else each))


def agent_named(id_: str) -> Named:
    return Named(Naming.AGENT, id_)


def session_named(key: str) -> Named:
    return Named(Naming.SESSION, key)


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 lock`, `3 locks`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def delay(ms: int) -> str:
    """A span that may be short: `685 ms`, `2.9 s`, and from 10 seconds on as `span`, rounded."""
    if ms < 2_000:
        return f"{max(0, ms)} ms"
    return f"{ms / 1000:.1f}".removesuffix(".0") + " s" if ms < 9_950 else span(round(ms / 1000) * 1000)


def span(ms: int) -> str:
    """`41 s`, `25 min`, `3 h`; nothing below zero."""
    seconds = max(0, ms) // 1000
    if seconds < 120:
        return f"{seconds} s"
    minutes = seconds // 60
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
