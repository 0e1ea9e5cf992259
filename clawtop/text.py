"""The only way from foreign bytes to a screen.

File names, ids, error texts and log lines are hostile until they have been through `safe`; `shown` takes secrets out
as well. JSON output does not use `safe`: ids there are exact and ASCII-escaped by the encoder.
"""

from __future__ import annotations

import unicodedata

from clawtop.cells import ELLIPSIS, elided
from clawtop.redaction import LONGEST_SECRET, masked, whole_words

# Unicode categories that can move the cursor, hide or reorder text: controls, format (bidi, zero width), lone
# surrogates, private use, unassigned, line and paragraph separators.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MAX_COMBINING = 2


def safe(text: object, limit: int | None = None) -> str:
    """`text` as one line that a terminal shows as it is: no control, bidi, zero-width or surrogate characters.

    Each hidden character becomes a visible `\\xNN` / `\\uNNNN`; runs of combining marks are cut. `limit` elides to
    that many terminal cells.
    """
    raw = text if isinstance(text, str) else str(text)
    if limit is not None and len(raw) > limit * 4 + 16:
        raw = raw[: limit * 4 + 16]
    if raw.isascii() and raw.isprintable():
        return raw if limit is None else elided(raw, limit)
    if not raw.isascii() and any(map(unicodedata.combining, set(raw))):
        raw = _without_piles(raw)
    result = raw.translate(_SHOWN_AS)
    return result if limit is None else elided(result, limit)


def _without_piles(raw: str) -> str:
    """`raw` with no more combining marks in a row than terminals draw in a cell, and none at the start."""
    out: list[str] = []
    combining = 0
    for char in raw:
        combining = combining + 1 if unicodedata.combining(char) else 0
        if combining <= (_MAX_COMBINING if out else 0):
            out.append(char)
    return "".join(out)


class _ShownAs(dict[int, str]):
    """Cache of each character's replacement, computed on first use and bounded."""

    def __missing__(self, point: int) -> str:
        char = chr(point)
        if len(self) >= _MOST_KNOWN:
            self.clear()
        found = self[point] = _escaped(char) if unicodedata.category(char) in _HIDDEN else char
        return found


_MOST_KNOWN = 4096
_SHOWN_AS = _ShownAs()


def shown(text: object, limit: int | None = None) -> str:
    """`masked`, then `safe`: what foreign prose (errors, log lines) goes through.

    With a limit the time does not depend on the length of the text: what is far behind the limit is not examined, and
    no part of a secret that begins before it is shown.
    """
    words = text if isinstance(text, str) else str(text)
    if limit is not None and len(words) > (looked_at := 8 * limit + 2 * LONGEST_SECRET):
        head = words[:looked_at]
        return elided(safe(masked(head[: whole_words(head)]), limit) + ELLIPSIS, limit)
    return safe(masked(words), limit)


def _escaped(char: str) -> str:
    point = ord(char)
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
