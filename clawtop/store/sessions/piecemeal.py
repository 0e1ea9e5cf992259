"""Reading a JSON object that is too large for memory, one entry at a time.

Installations exist whose sessions.json has 200 MB (docs/formats.md 5): each entry carries kilobytes of prompts. Only
the part being read is kept, as text, and other threads can run between two entries.
"""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from clawtop.core.model import Problem
from clawtop.store import door
from clawtop.store.door import Follow
from clawtop.store.json_text import MEGABYTE, Stamp, UnreadableError

_PART = 4 * MEGABYTE
_SPACE = " \t\n\r"
_IN_NUMBERS = frozenset({"", *"+-.eE0123456789"})


def read_piecemeal(path: str, limit: int, essence: Callable[[str, Any], Any]) -> tuple[Mapping[str, Any], Stamp]:
    """The object in a file, of each entry only its `essence`, and the file's stamp. The last of equal keys counts.

    Raises:
        FileNotFoundError: there is none. OSError: it cannot be opened.
        UnreadableError: larger than `limit`, not UTF-8, not a JSON object.
    """
    with door.reader(path, follow=Follow.ITS_OWNER) as file:
        facts = os.fstat(file.fileno())
        if facts.st_size > limit:
            raise UnreadableError(
                Problem("too-large", path, f"is larger than {limit // MEGABYTE} MB, which is more than clawtop reads")
            )
        found = _TextWindow(file.read, path).entries(essence)
    return found, Stamp(facts.st_mtime_ns, facts.st_size, facts.st_ino)


class _TextWindow:
    """The text of a file as a moving window: `_text` from `_at` on has been read but not used yet."""

    def __init__(self, read: Callable[[int], bytes], path: str) -> None:
        self._read = read
        self._path = path
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._scan = json.JSONDecoder().raw_decode
        self._text = ""
        self._at = 0
        self._over = False

    def entries(self, essence: Callable[[str, Any], Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self._next() is None:
            raise UnreadableError(Problem("empty", self._path, "is empty"))
        if self._next() != "{":
            raise UnreadableError(Problem("wrong-type", self._path, "is not an object"))
        self._at += 1
        if self._next() == "}":
            self._at += 1
            return self._ended(found)
        while True:
            key = self._value()
            if not isinstance(key, str) or self._next() != ":":
                raise self._broken()
            self._at += 1
            found[key] = essence(key, self._value())
            mark = self._next()
            self._at += 1
            if mark == "}":
                return self._ended(found)
            if mark != ",":
                raise self._broken()

    def _ended(self, found: dict[str, Any]) -> dict[str, Any]:
        if self._next() is not None:
            raise self._broken()
        return found

    def _next(self) -> str | None:
        """The next non-space character; None at the end."""
        while True:
            text, at = self._text, self._at
            while at < len(text) and text[at] in _SPACE:
                at += 1
            self._at = at
            if at < len(text):
                return text[at]
            if not self._more(_PART):
                return None

    def _value(self) -> Any:
        """The JSON value that comes next."""
        self._next()
        want = _PART
        while True:
            try:
                value, end = self._scan(self._text, self._at)
            except ValueError:
                if not self._more(want):
                    raise self._broken() from None
                want *= 2  # so that one giant entry is not scanned from its beginning for every part of it
                continue
            except RecursionError:
                raise self._broken() from None
            if self._may_go_on(value, end):
                continue
            self._at = end
            return value

    def _may_go_on(self, value: Any, end: int) -> bool:
        """Whether a number was cut by the end of what is read so far; then more is read."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return self._text[end : end + 1] in _IN_NUMBERS and self._more(_PART)

    def _more(self, size: int) -> bool:
        """Read on; False at the end of the file."""
        if self._over:
            return False
        content = self._read(size)
        self._over = not content
        try:
            fresh = self._decode(content, final=self._over)
        except UnicodeDecodeError:
            raise UnreadableError(Problem("not-utf8", self._path, "is not UTF-8")) from None
        self._text = self._text[self._at :] + fresh
        self._at = 0
        return bool(content)

    def _broken(self) -> UnreadableError:
        return UnreadableError(Problem("not-json", self._path, "is not JSON"))
