"""The changing part of an auth store as a value, pure edits of it, and the difference between two of them.

A plan shows the difference that an edit would make; the operation makes it only if, under the store's lock, the edit
still makes exactly that difference; the journal keeps it; undo is the same difference the other way round.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field, fields, replace
from typing import Any, Final

from clawtop.core.cooldown.stats import cleared
from clawtop.core.model import NO_COUNTS, UsageStats
from clawtop.nested import among
from clawtop.values import dataclass

STATS, ORDER, LAST_GOOD = "usageStats", "order", "lastGood"


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


FIELD_KEYS: Final[Mapping[str, str]] = {item.name: _camel(item.name) for item in fields(UsageStats)}
"""Attribute of `UsageStats` -> its name in OpenClaw's JSON."""

_ATTRIBUTES = {key: name for name, key in FIELD_KEYS.items()}


@dataclass(frozen=True, slots=True)
class AuthState:
    """The current content: statistics per profile, stored order and last good profile per provider.

    A profile without an entry in `stats`, or a provider without one in `order`, has none on the disk; an empty
    `UsageStats` is an entry that says nothing. `profiles` are the ids of the credentials beside it; it never changes.
    """

    stats: Mapping[str, UsageStats] = field(default_factory=dict)
    order: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    last_good: Mapping[str, str] = field(default_factory=dict)
    profiles: frozenset[str] = frozenset()

    def changed_by(self, change: Edit) -> AuthState:
        """This state after `change`; a new empty entry is dropped."""
        after = change(self)
        stats = {key: entry for key, entry in after.stats.items() if key in self.stats or entry != UsageStats()}
        return replace(after, stats=stats, profiles=self.profiles)


Edit = Callable[[AuthState], AuthState]
"""A pure change. It may be applied several times, each time to what is on disk then."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One value that changes, as written in OpenClaw's JSON. None: absent.

    Attributes:
        section: "usageStats", "order" or "lastGood".
        key: the profile or provider.
        field: OpenClaw's name of the field; None where the whole entry is the value.
        before, after: JSON-ready.
    """

    section: str
    key: str
    field: str | None
    before: Any
    after: Any

    @property
    def where(self) -> str:
        """`usageStats.<profile>.cooldownUntil`, for people."""
        return ".".join(part for part in (self.section, self.key, self.field) if part is not None)

    def inverted(self) -> FieldChange:
        return replace(self, before=self.after, after=self.before)

    def to_json(self) -> dict[str, Any]:
        """For journal, receipts and JSON output."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


def field_change(raw: Any) -> FieldChange | None:
    """Reads what `to_json` gave; None for anything else."""
    if not isinstance(raw, dict) or set(raw) != {item.name for item in fields(FieldChange)}:
        return None
    known = among(raw["section"], _READERS) and isinstance(raw["key"], str)
    return FieldChange(**raw) if known and isinstance(raw["field"], str | None) else None


def differences(before: AuthState, after: AuthState) -> tuple[FieldChange, ...]:
    """Every value that differs, in a stable order."""
    return tuple(_differences(before, after))


def fingerprint(changes: Iterable[FieldChange]) -> str:
    """Identifies the changes that an operation showed: the same for the same places and values."""
    text = json.dumps([change.to_json() for change in changes], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class ClearWindows:
    """Clear cooldown, disable, block and counters of these profiles; with `model` only what is scoped to it."""

    profiles: tuple[str, ...]
    model: str | None = None

    def __call__(self, state: AuthState) -> AuthState:
        changed = {key: self._cleared(state.stats[key]) for key in self.profiles if key in state.stats}
        return replace(state, stats={**state.stats, **changed})

    def _cleared(self, stats: UsageStats) -> UsageStats:
        """Writing an error count of zero where there was none is not a change."""
        after = cleared(stats, model=self.model)
        unchanged = not stats.error_count and replace(after, error_count=stats.error_count) == stats
        return stats if unchanged else after


@dataclass(frozen=True, slots=True)
class SetOrder:
    """Store this order for a provider; None removes the stored one."""

    provider: str
    order: tuple[str, ...] | None

    def __call__(self, state: AuthState) -> AuthState:
        left = {key: order for key, order in state.order.items() if key != self.provider}
        return replace(state, order=left if self.order is None else {**state.order, self.provider: self.order})


@dataclass(frozen=True, slots=True)
class Restore:
    """Set each value to its `after`, whatever it is now."""

    changes: tuple[FieldChange, ...]

    def __call__(self, state: AuthState) -> AuthState:
        for change in self.changes:
            state = _WRITERS[change.section](state, change)
        return state


def moved_on(state: AuthState, changes: Iterable[FieldChange]) -> tuple[FieldChange, ...]:
    """The changes whose `before` is not the current value; each with `before` set to it."""
    found = ((change, _READERS[change.section](state, change)) for change in changes)
    return tuple(replace(change, before=now) for change, now in found if now != change.before)


def _differences(before: AuthState, after: AuthState) -> Iterator[FieldChange]:
    for key in dict.fromkeys((*before.stats, *after.stats)):
        old, new = before.stats.get(key, UsageStats()), after.stats.get(key, UsageStats())
        for name, json_name in FIELD_KEYS.items():
            was, becomes = _json(getattr(old, name)), _json(getattr(new, name))
            if was != becomes:
                yield FieldChange(STATS, key, json_name, was, becomes)
    sections: tuple[tuple[str, Mapping[str, Any], Mapping[str, Any]], ...] = (
        (ORDER, before.order, after.order),
        (LAST_GOOD, before.last_good, after.last_good),
    )
    for section, olds, news in sections:
        for key in dict.fromkeys((*olds, *news)):
            was, becomes = _json(olds.get(key)), _json(news.get(key))
            if was != becomes or (key in olds) != (key in news):
                yield FieldChange(section, key, None, was, becomes)


def _json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value) or None
    return list(value) if isinstance(value, tuple) else value


def _read_stats(state: AuthState, change: FieldChange) -> Any:
    name = _ATTRIBUTES.get(change.field or "")
    return None if name is None else _json(getattr(state.stats.get(change.key, UsageStats()), name))


def _write_stats(state: AuthState, change: FieldChange) -> AuthState:
    name = _ATTRIBUTES.get(change.field or "")
    if name is None:
        return state
    value: dict[str, Any] = {name: (change.after or NO_COUNTS) if name == "failure_counts" else change.after}
    entry = replace(state.stats.get(change.key, UsageStats()), **value)
    return replace(state, stats={**state.stats, change.key: entry})


def _write_order(state: AuthState, change: FieldChange) -> AuthState:
    return SetOrder(change.key, None if change.after is None else tuple(change.after))(state)


def _write_last_good(state: AuthState, change: FieldChange) -> AuthState:
    left = {key: value for key, value in state.last_good.items() if key != change.key}
    return replace(state, last_good=left if change.after is None else {**state.last_good, change.key: change.after})


_READERS: Final[Mapping[str, Callable[[AuthState, FieldChange], Any]]] = {
    STATS: _read_stats,
    ORDER: lambda state, change: _json(state.order.get(change.key)),
    LAST_GOOD: lambda state, change: state.last_good.get(change.key),
}
_WRITERS: Final[Mapping[str, Callable[[AuthState, FieldChange], AuthState]]] = {
    STATS: _write_stats,
    ORDER: _write_order,
    LAST_GOOD: _write_last_good,
}
