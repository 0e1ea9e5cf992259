"""The command palette's entries: the table of commands."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from textual.app import SystemCommand
from textual.command import DiscoveryHit, Hits
from textual.system_commands import SystemCommandsProvider

from clawtop.commands import COMMANDS, Context, Section, key_label, meant, why_not


def entries(context: Context, run: Callable[[str], None]) -> Iterable[SystemCommand]:
    """An entry for each command that has a key: first those that can run now; the help of others says why not.

    Replay commands are left out elsewhere; in a replay, so are the commands whose keys control it.
    """
    possible = [
        (item, why_not(item, context))
        for item in COMMANDS
        if item.keys
        and (context.replaying or item.group is not Section.REPLAY)
        and meant(item.id, replaying=context.replaying) is item
    ]
    for item, reason in sorted(possible, key=lambda each: each[1] is not None):
        note = f" (not now: {reason})" if reason else ""
        title = f"{item.title} ({key_label(item.keys[0])})"
        # The palette reads brackets as markup.
        yield SystemCommand(title, (item.help + note).replace("[", "("), partial(run, item.id))


class InOrder(SystemCommandsProvider):
    """The entries in their own order until something is typed; Textual would sort them by title."""

    async def discover(self) -> Hits:
        """Every entry."""
        for name, said, call, _ in self.app.get_system_commands(self.screen):
            yield DiscoveryHit(name, call, help=said)
