"""The footer, the help and the key list: generated from the table of commands."""

from __future__ import annotations

from collections.abc import Iterable

from clawtop.cells import cells
from clawtop.commands import COMMANDS, Command, Context, Section, key_label, why_not
from clawtop.view.fitting import cut, cut_at_words, fitted, wrapped
from clawtop.view.line import Line, Piece, Tone, piece, width_of
from clawtop.view.words import LEGEND

_CHANGING = frozenset({Section.OPERATE, Section.DRIVE})
_GAP: Piece = ("  ", Tone.PLAIN)


def footer_line(context: Context, width: int, said: Line | None = None) -> Line:
    """Keys of the footer commands; those that cannot run now are faint.

    The latest answer (`said`) comes before the keys that are always shown; a long one takes their place.
    """
    line, _ = _footer(context, width, said)
    return line


def footer_command_at(context: Context, width: int, column: int, said: Line | None = None) -> str | None:
    """The command whose label is at this cell of the footer."""
    _, places = _footer(context, width, said)
    return next((command_id for start, end, command_id in places if start <= column < end), None)


ALWAYS = ("arm", "help", "back", "quit")
"""The end of a footer, shown at every width; `back` only if there is somewhere to go back to."""


def _footer(context: Context, width: int, said: Line | None = None) -> tuple[Line, list[tuple[int, int, str]]]:
    items = _footer_commands(context)
    last = [item for item in items if item.id in ALWAYS]
    if any(item.id == "back" for item in last):
        last = [item for item in last if item.id != "quit"]
    room = width - 1 - sum(_size(item) + 2 for item in last) + 2
    line: list[Piece] = [(" ", Tone.PLAIN)]
    places: list[tuple[int, int, str]] = []
    column = 1
    shown: list[Command] = []
    others = [item for item in items if item.id not in ALWAYS]
    if said is not None:
        others = []
        if width_of(said) + 2 > room:
            return cut_at_words((*line, *said), width), places
        line += [*fitted(said, room - 2), _GAP]
        column += room
    for item in others:
        if _size(item) + 2 > room:
            break
        room -= _size(item) + 2
        shown.append(item)
    for item in (*shown, *last):
        if column + _size(item) > width:
            break
        able = why_not(item, context) is None
        line += [
            (key_label(item.keys[0]), Tone.KEY if able else Tone.FAINT),
            (f" {item.title}", Tone.PLAIN if able else Tone.FAINT),
            _GAP,
        ]
        places.append((column, column + _size(item), item.id))
        column += _size(item) + 2
    return cut(tuple(line[:-1]), width), places


def _size(item: Command) -> int:
    return cells(key_label(item.keys[0])) + 1 + cells(item.title)


def _footer_commands(context: Context) -> list[Command]:
    """First this view's commands, then those for the row under the cursor, then the global ones.

    A replay cannot change anything: its controls come first, in place of operations.
    """
    hinted = [item for item in COMMANDS if item.footer and item.keys and _belongs(item, context)]
    if context.replaying:
        steering = [item for item in COMMANDS if item.group is Section.REPLAY]
        return steering + [item for item in hinted if item.group not in _CHANGING and item.id != "mark"]
    return sorted(hinted, key=lambda item: 0 if item.views else 1 if item.targets else 2)


def _belongs(item: Command, context: Context) -> bool:
    """Whether a hint applies here: on this view, and to the row under the cursor or the marked rows."""
    if item.views and context.view and context.view not in item.views:
        return False
    if item.id == "back" and context.view in ("", "overview") and not context.of_fleet:
        return False
    if not item.targets or context.marked & item.targets:
        return True
    return context.target is not None and context.target.kind in item.targets


def help_lines(context: Context, width: int) -> tuple[Line, ...]:
    """Every command by group: key, title, what it does, and why it cannot run now."""
    lines: list[Line] = []
    for group in Section:
        items = [item for item in COMMANDS if item.group is group]
        if items:
            lines += [(), ((str(group), Tone.ACCENT),)]
            lines += [line for item in items for line in _help(item, context, width)]
    lines += [(), piece("Symbols", Tone.ACCENT), *_legend(width)]
    return tuple(lines[1:])


def _legend(width: int) -> Iterable[Line]:
    """Each glyph with its meaning, by table."""
    for title, said in LEGEND:
        words: list[Piece] = [(f"{title:<11} ", Tone.DIM)]
        for glyph, word, tone in said:
            words += [(f"{glyph} {word}", tone), _GAP]
        yield from wrapped(tuple(words[:-1]), width, 12)


def _help(item: Command, context: Context, width: int) -> Iterable[Line]:
    keys = " ".join(key_label(key) for key in item.keys) or f"clawtop {item.verb}"
    reason = why_not(item, context) if item.keys else None
    head: Line = (
        (f"{keys:<11} ", Tone.KEY if item.keys else Tone.INFO),
        (f"{item.title:<18} ", Tone.STRONG),
        (item.help, Tone.PLAIN),
        (f"  clawtop {item.verb} {item.usage}".rstrip() if item.verb and item.keys else "", Tone.INFO),
        (f"  (not now: {reason})" if reason else "", Tone.DIM),
    )
    return wrapped(head, width, 31)
