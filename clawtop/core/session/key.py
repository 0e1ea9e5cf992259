"""Session keys, `agent:<agent id>:<rest>`: the one place that takes them apart and puts them together."""

from __future__ import annotations


def split(key: str) -> tuple[str | None, str]:
    """(agent id, rest) of a key; (None, key) if it names no agent."""
    words = key.split(":", 2)
    return (words[1], words[2]) if words[0] == "agent" and len(words) > 2 else (None, key)


def key_of(agent: str, rest: str) -> str:
    """The key of an agent's session."""
    return f"agent:{agent}:{rest}"


def agent_of(key: str) -> str | None:
    """The agent whose session a key names; None if it names none."""
    return split(key)[0]


def short_key(key: str) -> str:
    """A key without its agent, for people. Every agent has a `main`: there the agent's id stays."""
    agent, rest = split(key)
    return f"{agent}:{rest}" if rest == "main" and agent not in {None, "main"} else rest
