"""Commands by id, by verb and by key."""

from __future__ import annotations

from clawtop.commands.model import Command, Section
from clawtop.commands.table import COMMANDS

_BY_ID = {item.id: item for item in COMMANDS}


def command(command_id: str) -> Command:
    """The command with this id. Raises KeyError."""
    return _BY_ID[command_id]


def verbs() -> tuple[Command, ...]:
    """The commands that have a shell verb, in table order, one per verb."""
    seen: dict[str, Command] = {}
    for item in COMMANDS:
        if item.verb:
            seen.setdefault(item.verb, item)
    return tuple(seen.values())


def meant(command_id: str, *, replaying: bool) -> Command:
    """The command bound to a key; in a replay, commands that control it come first."""
    item = command(command_id)
    keys = set(item.keys)
    steering = (each for each in COMMANDS if each.group is Section.REPLAY and keys & set(each.keys))
    return next(steering, item) if replaying else item
