"""The footer, the help and the key list: made from the table of commands."""

from __future__ import annotations

from collections.abc import Iterable

from clawtop.commands import COMMANDS, Command, Context, Group, key_label, why_not
from clawtop.text import cells
from clawtop.view.line import Line, Piece, Tone, cut, wrapped

_CHANGING = frozenset({Group.OPERATE, Group.DRIVE})
_GAP: Piece = ("  ", Tone.PLAIN)


def footer_line(context: Context, width: int) -> Line:
    """Keys of the footer commands; those that cannot run now are faint."""
    line, _ = _footer(context, width)
    return line


def footer_command_at(context: Context, width: int, column: int) -> str | None:
    """The command whose label stands at this cell of the footer."""
    _, places = _footer(context, width)
    return next((command_id for start, end, command_id in places if start <= column < end), None)


def _footer(context: Context, width: int) -> tuple[Line, list[tuple[int, int, str]]]:
    line: list[Piece] = [(" ", Tone.PLAIN)]
    places: list[tuple[int, int, str]] = []
    column = 1
    for item in _footer_commands(context):
        key, title = key_label(item.keys[0]), item.title
        size = cells(key) + 1 + cells(title)
        if column + size > width:
            break
        able = why_not(item, context) is None
        line += [
            (key, Tone.KEY if able else Tone.FAINT),
            (f" {title}", Tone.PLAIN if able else Tone.FAINT),
            _GAP,
        ]
        places.append((column, column + size, item.id))
        column += size + 2
    return cut(tuple(line[:-1]), width), places


def _footer_commands(context: Context) -> list[Command]:
    """A replay can change nothing: what steers it stands there first, and in the place of operations."""
    if not context.replaying:
        return [item for item in COMMANDS if item.footer and item.keys]
    steering = [item for item in COMMANDS if item.group is Group.REPLAY]
    return steering + [item for item in COMMANDS if item.footer and item.keys and item.group not in _CHANGING]


def help_lines(context: Context, width: int) -> tuple[Line, ...]:
    """Every command by group: key, title, what it does, and why it cannot run now."""
    lines: list[Line] = []
    for group in Group:
        items = [item for item in COMMANDS if item.group is group]
        if items:
            lines += [(), ((str(group), Tone.ACCENT),)]
            lines += [line for item in items for line in _help(item, context, width)]
    return tuple(lines[1:])


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
