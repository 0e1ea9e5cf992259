"""Lines made to fit a width: cut, padded, or wrapped; between words where that leaves something to read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from clawtop.cells import ELLIPSIS, cells, elided, elided_middle, headed, tailed
from clawtop.view.line import EMPTY, Line, Piece, Tone, text_of, width_of


def fitted(line: Line, width: int, *, right: bool = False, middle: bool = False, words: bool = False) -> Line:
    """The line in exactly `width` cells: elided, at its end or in the middle of its longest piece, between `words`
    if possible, or padded.
    """
    used = width_of(line)
    if used == width:
        return line
    if used < width:
        pad: Piece = (" " * (width - used), Tone.PLAIN)
        return (pad, *line) if right else (*line, pad)
    short = cut_middle(line, width, words=words) if middle else cut_at_words(line, width)
    return fitted(short, width, right=right)


def with_right(left: Line, right: Line, width: int) -> Line:
    """Both in exactly `width` cells, `right` at the end; `left` is cut first."""
    return cut((*fitted(left, max(0, width - width_of(right))), *right), width)


def cut(line: Line, width: int) -> Line:
    """The line in at most `width` cells, with an ellipsis if it was cut."""
    if width_of(line) <= width:
        return line
    out: list[Piece] = []
    room = width
    for position, (text, tone) in enumerate(line):
        need = cells(text)
        last = position == len(line) - 1
        if need < room or (need == room and last):
            out.append((text, tone))
            room -= need
            continue
        short = elided(text, room) if need > room else elided(text + ELLIPSIS, room)
        out.append((short, tone))
        room -= cells(short)
        break
    if room > 0:
        out.append((" " * room, Tone.PLAIN))
    return tuple(out)


_LONG_WORD = 16
"""Cells of a word that is more likely an id than prose."""


def cut_at_words(line: Line, width: int) -> Line:
    """The line in at most `width` cells: whole words and an ellipsis; an id that does not fit keeps both its ends.

    What remains does not end on a word that is meaningless without the next one, if another word is left.
    """
    if width_of(line) <= width:
        return line
    if width < 1:
        return EMPTY
    out: list[Piece] = []
    room = width
    for text, tone in line:
        need = cells(text)
        if need >= room:
            out.append((_whole_words(text, room), tone))
            break
        out.append((text, tone))
        room -= need
    return _without_loose_end(tuple(out))


_LOOSE_WORDS = frozenset(
    {
        *("a", "an", "the", "this", "that", "these", "those", "its", "their", "his", "her", "every", "each"),
        *("no", "not", "one", "two", "three", "four", "five", "six", "seven", "eight", "of", "in", "on"),
        *("at", "to", "for", "from", "by", "with", "without", "within", "into", "onto", "over", "under"),
        *("above", "below", "through", "during", "before", "after", "back", "never", "only", "nine", "ten"),
        *("since", "until", "till", "than", "per", "via", "between", "beside", "besides", "about", "against"),
        *(
            "among",
            "as",
            "like",
            "though",
            "although",
            "then",
            "whether",
            "and",
            "or",
            "but",
            "nor",
            "if",
            "when",
            "while",
            "where",
            "which",
            "who",
        ),
        *("whom", "whose", "because", "so", "is", "are", "was", "were", "be", "been", "being", "has", "have"),
        *("had", "does", "did", "do", "will", "would", "can", "could", "may", "might", "must", "shall", "should"),
    }
)
"""Words that are meaningless without what follows."""
_LOOSE = r"[(\[{<\"'“‘]*[\d.,:+~%-]*"
"""A number without its unit, or an open bracket. Compiled when a text is first cut: most starts cut none."""
_CLOCK = r"\d{1,2}:\d\d(:\d\d)?"
_FACT_ENDS = ("·", ";", ".", ",")


def _is_loose(word: str) -> bool:
    """Whether a word at the end of a cut text would be meaningless or misleading."""
    if word in _FACT_ENDS or re.fullmatch(_CLOCK, word):
        return False
    bare = word.lstrip("([{")
    return bare in _LOOSE_WORDS or re.fullmatch(_LOOSE, word) is not None or not any(map(str.isalnum, word))


def _without_loose_end(line: Line) -> Line:
    """A line that ends on an ellipsis, without the loose words before it; unchanged if nothing else is left."""
    if not text_of(line).endswith(ELLIPSIS):
        return line
    kept = text_of(line).removesuffix(ELLIPSIS).rstrip(" ")
    while kept and _is_loose(kept.rpartition(" ")[2]):
        kept = kept.rpartition(" ")[0].rstrip(" ")
    if not any(map(str.isalnum, kept)):
        return line
    out: list[Piece] = []
    room = len(kept)
    for text, tone in line:
        out.append((text[:room], tone))
        room -= len(text)
        if room <= 0:
            break
    text, tone = out[-1]
    gap = " " if text.endswith("·") and len(kept) + 2 <= len(text_of(line)) else ""
    return (*out[:-1], (text.rstrip(",;") + gap + ELLIPSIS, tone))


def _whole_words(text: str, room: int) -> str:
    """The words of `text` that fit into `room` cells beside an ellipsis, which says that more was to follow."""
    kept = headed(text, room - cells(ELLIPSIS))
    if text[len(kept) :].startswith(" "):
        return kept.rstrip(" ") + ELLIPSIS
    start = kept[: kept.rfind(" ") + 1]
    word = text[len(start) :].partition(" ")[0]
    left = room - cells(start)
    alone = " " not in text[len(start) :] and not any(map(str.isalnum, start)) and left > cells(ELLIPSIS)
    if alone or (cells(word) > _LONG_WORD and 2 * left > _LONG_WORD):
        return start + elided_middle(word, min(left, cells(word) - 1))
    return start.rstrip(" ") + ELLIPSIS


def cut_middle(line: Line, width: int, *, words: bool = False) -> Line:
    """The line in at most `width` cells; if too long, its longest piece is elided in the middle; between `words` where
    they are no ids.
    """
    over = width_of(line) - width
    if over <= 0:
        return line
    sizes = [cells(text) for text, _ in line]
    longest = max(range(len(line)), key=sizes.__getitem__)
    room = sizes[longest] - over
    if room < 3:
        return cut(line, width)
    text, tone = line[longest]
    short = _words_around(text, room) if words else elided_middle(text, room)
    return (*line[:longest], (short, tone), *line[longest + 1 :])


def _words_around(text: str, room: int) -> str:
    """The first and the last words of a text that is too long for `room` cells; only the first ones of a sentence that
    would lose its subject.
    """
    head = headed(text, (room - 1) // 3)
    start = head[: head.rfind(" ") + 1]
    if len(text[len(start) :].partition(" ")[0]) <= _LONG_WORD:
        head = start
    while _is_loose(head.rstrip(" ").rpartition(" ")[2]) and head.strip(" "):
        head = head.rstrip(" ").rpartition(" ")[0]
    if not head and cells(text.rpartition(" ")[2]) <= _LONG_WORD:
        return text_of(cut_at_words(((text, Tone.PLAIN),), room))
    tail = tailed(text, room - cells(head + ELLIPSIS))
    _, blank, end = tail.partition(" ")
    if blank and len(text[: len(text) - len(end)].split(" ")[-2]) <= _LONG_WORD:
        tail = blank + end
    return head + ELLIPSIS + tail


def wrapped(line: Line, width: int, indent: int = 0) -> list[Line]:
    """The line wrapped at spaces; continuation lines are indented."""
    width = max(width, indent + 4)
    lines: list[Line] = []
    current: list[Piece] = []
    used = 0

    def turn() -> None:
        nonlocal current, used
        lines.append(_within(current, used, width))
        current = [(" " * indent, Tone.PLAIN)] if indent else []
        used = indent

    for word, tone in _words(line):
        need = cells(word)
        if used + cells(word.rstrip()) > width and used > indent:
            turn()
            word = word.lstrip()  # noqa: PLW2901 - a line does not start with the space it was broken at
            need = cells(word)
        while used + cells(word.rstrip()) > width:
            head = headed(word, width - used) or word[:1]
            current.append((head, tone))
            word = word[len(head) :]  # noqa: PLW2901 - the rest of a word longer than a line
            turn()
            need = cells(word)
        if word:
            current.append((word, tone))
            used += need
    if current or not lines:
        lines.append(_within(current, used, width))
    return lines


def _within(line: Sequence[Piece], used: int, width: int) -> Line:
    """A line of `used` cells whose last word fits, without a trailing blank that does not."""
    if used <= width:
        return tuple(line)
    text, tone = line[-1]
    return (*line[:-1], (text.rstrip(" "), tone))


def _words(line: Line) -> Iterable[Piece]:
    """The line's words, each with the spaces that follow it."""
    for text, tone in line:
        start = 0
        for position in range(1, len(text)):
            if text[position] != " " and text[position - 1] == " ":
                yield text[start:position], tone
                start = position
        if text:
            yield text[start:], tone
