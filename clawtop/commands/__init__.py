"""THE table of commands. Keys, footer, palette, help, shell verbs and the README's list all come from `COMMANDS`.

A command is disabled with a reason, never hidden: `why_not(command, context)` gives the reason, or None when it
can run. Titles are verbs; `help` is one sentence for an operator.
"""

from clawtop.commands.keys import key_label
from clawtop.commands.lookup import command, meant, verbs
from clawtop.commands.model import Arming, Command, Context, Section, Target, TargetKind, own_run_name
from clawtop.commands.refusal import why_not
from clawtop.commands.table import COMMANDS, IN_BULK

__all__ = [
    "COMMANDS",
    "IN_BULK",
    "Arming",
    "Command",
    "Context",
    "Section",
    "Target",
    "TargetKind",
    "command",
    "key_label",
    "meant",
    "own_run_name",
    "verbs",
    "why_not",
]
