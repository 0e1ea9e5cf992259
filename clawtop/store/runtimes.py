"""Which configured runtimes work in their own processes: command-line backends and ACP agents.

OpenClaw names a command-line backend in a model's reference (`claude-cli/sonnet`), as an `agentRuntime` of a model or a
provider, or in `cliBackends`, where its command may be replaced (2026.3.28 to 2026.7.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from clawtop.nested import mapping
from clawtop.patterns import regex
from clawtop.store.wire import text

ACP = "acp"
COMMANDS = {"claude-cli": "claude", "google-gemini-cli": "gemini", "codex-cli": "codex"}
"""The backends that come with OpenClaw, and what they start."""

_NAMED = regex(r"([a-z0-9][a-z0-9._-]{0,40}-cli)(?:/.*)?", re.DOTALL)
_MOST_DEEP = 12


def backends(raw: Mapping[str, Any]) -> dict[str, str]:
    """The runtimes that may start processes, each with the base name of its command; "" for ACP, which has no fixed
    command.
    """
    found: dict[str, str] = {}
    for section in ("agents", "models"):
        for word in _words(raw.get(section), _MOST_DEEP):
            match = _NAMED.fullmatch(word.strip().lower())
            if match is not None:
                found[match[1]] = COMMANDS.get(match[1], match[1].removesuffix("-cli"))
    agents = mapping(raw.get("agents"))
    listed = agents.get("list")
    for owner in (agents.get("defaults"), *(listed if isinstance(listed, list) else ())):
        for name, entry in mapping(mapping(owner).get("cliBackends")).items():
            command = text(mapping(entry).get("command")) or COMMANDS.get(name, name)
            found[name.strip().lower()] = re.split(r"[/\\\\]", command.strip())[-1]
    acp = mapping(raw.get(ACP))
    if acp and acp.get("enabled") is not False:
        found[ACP] = ""
    return found


def _words(value: Any, deep: int) -> Iterator[str]:
    """Every text in a part of the configuration, and every key."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and deep:
        for item in value:
            yield from _words(item, deep - 1)
    elif isinstance(value, dict) and deep:
        for key, item in value.items():
            yield str(key)
            yield from _words(item, deep - 1)
