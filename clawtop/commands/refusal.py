"""Whether a command can run now, and why not."""

from __future__ import annotations

from collections.abc import Sequence

from clawtop.commands.checks import arm, not_replaying
from clawtop.commands.keys import key_label
from clawtop.commands.lookup import command
from clawtop.commands.model import Arming, Command, Context
from clawtop.commands.table import IN_BULK

MOST_KINDS = 3
"""Kinds of row that a refusal names."""


def why_not(item: Command, context: Context) -> str | None:
    """Why `item` cannot run now, as a sentence fragment for a person; None when it can."""
    if item.views and context.view not in item.views:
        return f"it belongs to {_places(item.views)}"
    if item.dangerous and (refusal := not_replaying(context) or arm(context)):
        return refusal  # on every row
    in_bulk = bool(context.marked & item.targets) and item.id in IN_BULK
    if not in_bulk and item.targets and (context.target is None or context.target.kind not in item.targets):
        kinds = sorted(f"an {kind}" if kind[0] in "aeiou" else f"a {kind}" for kind in item.targets)
        if len(kinds) <= MOST_KINDS:
            return f"move to {_either(kinds)} first"
        return "no row is under the cursor" if context.target is None else "move to another row first"
    if item.dangerous:
        checked = item.check(context) if item.check and not in_bulk else None
        if checked:
            return checked
        if context.busy:
            return context.busy
        if context.arming is not Arming.ARMED:
            return f"{Arming.READ_ONLY}: press {key_label(command('arm').keys[0])} to arm"
        return None
    return item.check(context) if item.check else None


def _places(views: tuple[str, ...]) -> str:
    """`the timeline (4)`."""
    return _either([f"the {view} ({key_label(command(view).keys[0])})" for view in views])


def _either(words: Sequence[str]) -> str:
    """`a lock, a run or a session`."""
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last
