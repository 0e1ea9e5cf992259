"""How wide a text is on a terminal, and texts cut to a width. The texts are `safe` ones."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from clawtop.patterns import regex

ELLIPSIS = "…"

_NARROW = regex(
    r"[ -~\xa0-\xac\xae-\u02ff\u2010-\u2027\u2030-\u205e\u2190-\u2211\u2298\u2299\u2500-\u25fc\u29d7⏎≥✓✗⚠]*"
)
"""Text in which every character takes one cell, whatever is beside it: most of what is drawn."""


def cells(text: str) -> int:
    """Terminal cells that `safe` text takes, by the tables of `wcwidth`: clusters of Thai or Devanagari, emoji with a
    skin tone or a variation selector count as terminals draw them.
    """
    return len(text) if text.isascii() or _NARROW.fullmatch(text) else _cells(text)


@lru_cache(maxsize=4096)
def _cells(text: str) -> int:
    from wcwidth import iter_graphemes, width

    return sum(width(cluster, control_codes="ignore") for cluster in iter_graphemes(text))


def clusters(text: str) -> Iterable[str]:
    """The text in clusters that are never cut: a character with all that is drawn in its place."""
    if text.isascii() or _NARROW.fullmatch(text):
        return text
    from wcwidth import iter_graphemes

    return iter_graphemes(text)


def headed(text: str, width: int) -> str:
    """As much of the beginning as fits into `width` cells."""
    if len(text) <= width and text.isascii():
        return text
    room = width
    out: list[str] = []
    for cluster in clusters(text):
        room -= cells(cluster)
        if room < 0:
            break
        out.append(cluster)
    return "".join(out)


def elided(text: str, width: int) -> str:
    """`text` cut to `width` cells, with an ellipsis where something is gone."""
    if cells(text) <= width:
        return text
    return headed(text, width - 1) + ELLIPSIS if width > 0 else ""


def tailed(text: str, width: int) -> str:
    """As much of the end as fits into `width` cells."""
    if len(text) <= width and text.isascii():
        return text
    room = width
    out: list[str] = []
    for cluster in reversed(list(clusters(text))):
        room -= cells(cluster)
        if room < 0:
            break
        out.append(cluster)
    return "".join(reversed(out))


def elided_middle(text: str, width: int) -> str:
    """`text` cut to `width` cells in its middle: of ids that begin alike, the end tells them apart.

    The end begins with a whole part of an id (`sebastian:tele…:ariel`) where the room allows it.
    """
    if cells(text) <= width:
        return text
    if width <= 0:
        return ""
    tail = _whole_parts(text, width - 1 - (width - 1) // 3, width - 1)
    return headed(text, width - 1 - cells(tail)) + ELLIPSIS + tail


_PARTS = regex(r"[:/]")
_LEAST_TAIL = 5
"""Fewer cells at the end of an id do not distinguish it from others."""


def _whole_parts(text: str, most: int, room: int) -> str:
    """The end of `text` in at most `most` cells, from the beginning of one of its parts: best is most of the end beside
    the whole first part in `room` cells, else that part, else most of the end; without such a part from anywhere.
    """
    end = tailed(text, most)
    first = _PARTS.search(text)
    beside = room - cells(text[: first.end()]) if first is not None else 0
    ends = [end[match.start() :] for match in _PARTS.finditer(end)]
    ends = [part for part in ends if cells(part) >= _LEAST_TAIL]
    fitting = [part for part in ends if cells(part) <= beside]
    long = [part for part in ends if 2 * cells(part) >= most]
    best = [part for part in fitting if part in long]
    return next(iter([*best, *fitting, *long]), end)
