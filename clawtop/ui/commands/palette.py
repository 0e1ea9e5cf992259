"""The command palette's entries: the table of commands."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from textual.app import SystemCommand

from clawtop.commands import COMMANDS, Context, key_label, why_not


def entries(context: Context, run: Callable[[str], None]) -> Iterable[SystemCommand]:
    """An entry for each command that has a key; its help says why it cannot run now."""
    for item in COMMANDS:
        if item.keys:
            reason = why_not(item, context)
            note = f" (not now: {reason})" if reason else ""
            title = f"{item.title} ({key_label(item.keys[0])})"
            # The palette reads brackets as markup.
            yield SystemCommand(title, (item.help + note).replace("[", "("), partial(run, item.id))
