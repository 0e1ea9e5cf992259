"""The changing part of an auth store as values, and a change of values as a change of the JSON that holds them.

Generation A keeps `usageStats`, `order` and `lastGood` in auth-profiles.json; generation B in auth-state.json, whose
entries win, each as a whole, over those that an older generation left embedded in auth-profiles.json (docs/formats.md
2.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clawtop.core.model import UsageStats
from clawtop.core.operations.edit import FIELD_KEYS, LAST_GOOD, ORDER, STATS, AuthState
from clawtop.errors import RefusedError
from clawtop.store.auth.json_edit import plain
from clawtop.store.wire import usage_stats
from clawtop.text import safe
from clawtop.values import dataclass


@dataclass(frozen=True, slots=True)
class Documents:
    """The parsed files: `credentials` is auth-profiles.json, `state` is auth-state.json (None: not there, or A)."""

    credentials: dict[str, Any]
    state: dict[str, Any] | None
    state_path: str
    split: bool
    """Whether state has its own file (generation B)."""

    def section(self, name: str) -> dict[str, Any]:
        """One section in force: the entries of auth-state.json over embedded ones."""
        embedded = _members(self.credentials, name, self.state_path)
        return embedded | _members(self.state or {}, name, self.state_path) if self.split else embedded

    def in_force(self) -> AuthState:
        """The state as values; entries that OpenClaw would not read count as absent."""
        stats = {
            key: usage_stats(plain(entry), key)[0]
            for key, entry in self.section(STATS).items()
            if isinstance(entry, dict)
        }
        order = {
            key: tuple(item for item in entry if isinstance(item, str))
            for key, entry in self.section(ORDER).items()
            if isinstance(entry, list)
        }
        last_good = {key: entry for key, entry in self.section(LAST_GOOD).items() if isinstance(entry, str)}
        profiles = frozenset(_members(self.credentials, "profiles", self.state_path))
        return AuthState(stats, order, last_good, profiles)

    def changed(self, before: AuthState, after: AuthState) -> dict[str, Any]:
        """The JSON of the file to write: its content with only the differences changed. The documents must not be used
        afterwards.

        Raises RefusedError where the difference cannot be expressed without rewriting credentials.
        """
        document: dict[str, Any] = (
            ({"version": 1} if self.state is None else self.state) if self.split else self.credentials
        )
        stats = self.section(STATS)
        for key in _differing(before.stats, after.stats):
            entry = _changed_entry(stats.get(key), before.stats.get(key), after.stats.get(key))
            _put(document, STATS, key, entry, self.state_path)
        for key in _differing(before.order, after.order):
            _put(document, ORDER, key, list(after.order[key]) if key in after.order else None, self.state_path)
        for key in _differing(before.last_good, after.last_good):
            _put(document, LAST_GOOD, key, after.last_good.get(key), self.state_path)
        if self.split and any(name in self.credentials for name in (STATS, ORDER, LAST_GOOD)):
            self._must_hold(document, after)
        return document

    def _must_hold(self, document: dict[str, Any], after: AuthState) -> None:
        """What an older generation left in auth-profiles.json may come back into force where an entry is removed."""
        if Documents(self.credentials, document, self.state_path, self.split).in_force() != after:
            raise RefusedError(
                f"an older generation's entry in auth-profiles.json beside {safe(self.state_path)} would stay in force",
                unchanged="nothing was written",
                hint="clawtop does not rewrite credentials; let OpenClaw write its state once, then try again",
            )


def is_empty(document: Mapping[str, Any]) -> bool:
    """Whether a state document says nothing: OpenClaw deletes such a file."""
    return set(document) <= {"version"}


def _members(document: Mapping[str, Any], name: str, path: str) -> dict[str, Any]:
    section = document.get(name)
    if section is None:
        return {}
    if not isinstance(section, dict):
        raise RefusedError(
            f"{name} beside {safe(path)} is not an object",
            unchanged="nothing was written",
            hint="repair the file first",
        )
    return section


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return [
        key for key in {**before, **after} if before.get(key) != after.get(key) or (key in before) != (key in after)
    ]


def _put(document: dict[str, Any], section: str, key: str, value: Any, path: str) -> None:
    """Set or (None) remove one entry; a section that becomes empty is removed, as OpenClaw leaves out empty ones."""
    _members(document, section, path)
    members = document.get(section) or {}
    if value is None:
        members.pop(key, None)
    else:
        members[key] = value
    if members:
        document[section] = members
    else:
        document.pop(section, None)


def _changed_entry(entry: Any, before: UsageStats | None, after: UsageStats | None) -> dict[str, Any] | None:
    if after is None:
        return None
    members: dict[str, Any] = entry if isinstance(entry, dict) else {}
    old = before or UsageStats()
    for name, key in FIELD_KEYS.items():
        if name == "failure_counts":
            _change_counts(members, old.failure_counts, after.failure_counts)
        elif getattr(old, name) != getattr(after, name):
            _set_or_drop(members, key, getattr(after, name))
    return members


def _change_counts(members: dict[str, Any], old: Mapping[str, int], new: Mapping[str, int]) -> None:
    if old == new:
        return
    stored = members.get("failureCounts")
    counts: dict[str, Any] = stored if isinstance(stored, dict) else {}
    if new:
        for reason in {**old, **new}:
            _set_or_drop(counts, reason, new.get(reason))
    _set_or_drop(members, "failureCounts", counts if new else None)


def _set_or_drop(members: dict[str, Any], key: str, value: Any) -> None:
    if value is None:
        members.pop(key, None)
    else:
        members[key] = value
