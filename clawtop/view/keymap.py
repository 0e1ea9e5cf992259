"""The key list of README.md, from the table of commands."""

from __future__ import annotations

from clawtop.commands import COMMANDS, Group, key_label, verbs

BEGIN = "<!-- keys: generated from clawtop/commands.py -->"
END = "<!-- end of keys -->"


def markdown() -> str:
    """Two tables: keys by group, then verbs of the shell."""
    lines = ["| Key | Command | What it does |", "|---|---|---|"]
    for group in Group:
        for item in COMMANDS:
            if item.group is group and item.keys:
                keys = " ".join(f"`{key_label(key)}`" for key in item.keys)
                mark = " ⚠" if item.dangerous else ""
                lines.append(f"| {keys} | {item.title}{mark} | {item.help} |")
    lines += ["", "⚠ needs ARMED, shows what will change, and asks.", "", "| Verb | What it does |", "|---|---|"]
    for item in verbs():
        usage = f" {item.usage}".replace("|", "\\|") if item.usage else ""
        lines.append(f"| `clawtop {item.verb}{usage}` | {item.help} |")
    return "\n".join(lines)


def with_keys(readme: str) -> str:
    """`readme` with the key list between its markers replaced. Raises ValueError without the markers."""
    head, _, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not end:
        raise ValueError("README.md has no markers for the key list")
    return f"{head}{BEGIN}\n{markdown()}\n{END}{tail}"
