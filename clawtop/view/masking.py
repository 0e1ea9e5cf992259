"""Masks secrets in values that are printed as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clawtop.redaction import masked

EXACT = frozenset(
    {
        *(
            "id",
            "key",
            "agent",
            "agents",
            "owner_agent",
            "stats_owner",
            "provider",
            "profile",
            "model",
            "lane",
            "run_id",
        ),
        *("session", "sessions", "session_id", "session_key", "session_file"),
        *("file", "path", "paths", "state_dir", "on_disk", "where"),
        *("target", "drain", "fresh", "plan_id", "fingerprint", "undo", "undoes"),
    }
)
"""Members that verbs take as arguments stay exact. Everything else, names too, is foreign text."""


class _Masked(dict[str, str]):
    """Masks texts, each distinct one once."""

    def __missing__(self, word: str) -> str:
        found = self[word] = masked(word)
        return found


class _Masking:
    """Masks the words of a report, keys of mappings included. What holds no secret stays the same object: to build all
    of it anew takes longer than to look for secrets.
    """

    def __init__(self) -> None:
        self._words = _Masked()
        self._wordless: set[type] = {int, bool, float, type(None)}

    def of(self, value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return self._members(value)
        if type(value) is str:
            return value if name in EXACT else self._words[value]
        if isinstance(value, list | tuple) and value:
            parts = [self.of(part, name) for part in value]
            return value if parts == [*value] else parts
        if not isinstance(value, list | tuple):
            self._wordless.add(type(value))
        return value

    def _members(self, value: dict[str, Any]) -> dict[str, Any]:
        """Nearly all parts of a report are texts and numbers: a call for each would be most of the time that masking
        takes.
        """
        words, wordless = self._words, self._wordless
        changed: dict[str, Any] = {}
        for key, part in value.items():
            kind = type(part)
            if kind is str:
                told = part if key in EXACT else words[part]
            else:
                told = part if kind in wordless or not part else self.of(part, key)
            if (told is not part and told != part) or words[key] != key:
                changed[key] = told
        return {words[key]: changed.get(key, part) for key, part in value.items()} if changed else value


def without_secrets(value: Mapping[str, Any]) -> dict[str, Any]:
    """The value, JSON-ready, with every text masked except the members in `EXACT`."""
    told: dict[str, Any] = _Masking().of(value)
    return told
