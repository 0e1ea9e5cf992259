"""The key list of README.md, from the table of commands."""

from __future__ import annotations

from collections.abc import Callable

from clawtop.commands import COMMANDS, Section, key_label, verbs

BEGIN = "<!-- keys: generated from clawtop/commands/table.py -->"
END = "<!-- end of keys -->"


def markdown(usage: Callable[[str], str]) -> str:
    """Two tables: keys by group, then verbs of the shell. `usage` gives a verb's arguments as the parser has them."""
    lines = ["| Key | Command | What it does |", "|---|---|---|"]
    for group in Section:
        for item in COMMANDS:
            if item.group is group and item.keys:
                keys = " ".join(f"`{key_label(key)}`" for key in item.keys)
                mark = " ⚠" if item.dangerous else ""
                lines.append(f"| {keys} | {item.title}{mark} | {item.help} |")
    lines += ["", "⚠ needs ARMED, shows what will change, and asks.", "", "| Verb | What it does |", "|---|---|"]
    for item in verbs():
        words = usage(item.verb or "").replace("|", "\\|")
        lines.append(f"| `clawtop {words}` | {item.said_of_verb} |")
    return "\n".join([*lines, "", f"HOW: `{usage('how')}`."])


def with_keys(readme: str, usage: Callable[[str], str]) -> str:
    """`readme` with the key list between its markers replaced. Raises ValueError without the markers."""
    head, _, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not end:
        raise ValueError("README.md has no markers for the key list")
    return f"{head}{BEGIN}\n{markdown(usage)}\n{END}{tail}"
