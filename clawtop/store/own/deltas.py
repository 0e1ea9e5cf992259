"""Snapshots as records of changes, and back: used by recordings, and by what a fleet's hosts send.

A record is JSON-ready: `{"at": ms, "set": {...}}`, the parts of a snapshot that changed since the record before, or
`{"at": ms, "event": {...}}`. Of a part that is a list only the difference is stored. Foreign text passes `masked` on
its way out; reading an invalid record raises one of `SENSELESS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from clawtop.core.model import Event, Snapshot
from clawtop.redaction import masked_words

_SNAPSHOT = TypeAdapter(Snapshot)
_PARTS = tuple(part.name for part in fields(Snapshot) if part.name != "events")
_PLAIN: Mapping[str, TypeAdapter[Any]] = {
    name: TypeAdapter(kind) for name, kind in get_type_hints(Snapshot).items() if name in _PARTS
}
_ALWAYS = frozenset({"number", "taken_at"})
_ABSENT = object()
_EVENT = TypeAdapter(Event)

SENSELESS = (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, ValidationError)
"""The exceptions that an invalid record raises."""


class Changes:
    """Turns snapshots into records: each event once, when it first appears; parts of a snapshot when they change."""

    def __init__(self) -> None:
        self._before: Snapshot | None = None
        self._events: set[tuple[object, ...]] = set()

    def of(self, value: Snapshot) -> list[dict[str, Any]]:
        """The records that `value` adds: its new events, then what changed since the last one."""
        before = self._before
        records = self._told(value.events) if before is None or value.events != before.events else []
        changed = {
            name: _delta(name, getattr(before, name, None), part)
            for name in _PARTS
            if (part := getattr(value, name)) != getattr(before, name, _ABSENT) or name in _ALWAYS
        }
        if changed.keys() - _ALWAYS:
            records.append(masked_words({"at": value.as_of, "set": changed}))
            self._before = value
        return records

    def _told(self, events: tuple[Event, ...]) -> list[dict[str, Any]]:
        fresh = {_identity(event): event for event in events}
        known, self._events = self._events, set(fresh)
        return [
            masked_words({"at": event.at, "event": _dumped(_EVENT, event)})
            for identity, event in fresh.items()
            if identity not in known
        ]


@dataclass(slots=True)
class Assembly:
    """Builds snapshots from records. Only what a record contains is parsed: unchanged parts stay the same object.

    `value` is the snapshot so far, without events.
    """

    value: Snapshot | None = None

    def items(self, name: str) -> int:
        """How many items a part has now; 1 for a part that is not a list."""
        part = getattr(self.value, name) if self.value is not None and name in _PLAIN else None
        return len(part) if isinstance(part, tuple) else 1

    def take(self, record: dict[str, Any]) -> Event | Snapshot:
        """Apply one record. Raises `SENSELESS`."""
        if "event" in record:
            return _EVENT.validate_python(record["event"])
        told, before = record["set"].items(), self.value
        if before is None:
            self.value = _SNAPSHOT.validate_python({name: delta["is"] for name, delta in told})
        else:
            fresh = {name: _applied(name, getattr(before, name), delta) for name, delta in told if name in _PLAIN}
            self.value = replace(before, **fresh)
        return self.value


def _identity(event: Event) -> tuple[object, ...]:
    return (event.at, event.kind, event.source, event.text, event.run_id, event.lane)


def _dumped(adapter: TypeAdapter[Any], value: Any) -> Any:
    """`value` as JSON would hold it. Read-only views of mappings are not known to pydantic."""
    return adapter.dump_python(value, mode="json", fallback=dict, warnings=False)


def _delta(name: str, before: Any, after: Any) -> dict[str, Any]:
    """The change from one value of a part to another, as JSON: the whole value, or a slice of a list."""
    plain = _PLAIN[name]
    if not (isinstance(before, tuple) and isinstance(after, tuple)):
        return {"is": _dumped(plain, after)}
    most = min(len(before), len(after))
    start = next((index for index in range(most) if before[index] != after[index]), most)
    most -= start
    same = next((index for index in range(most) if before[-1 - index] != after[-1 - index]), most)
    middle = after[start : len(after) - same]
    if len(before) == len(after):
        differing = [index for index, item in enumerate(middle, start) if before[index] != item]
        items = _dumped(plain, tuple(after[index] for index in differing))
        return {"differs": dict(zip(map(str, differing), items, strict=True))}
    return {"splice": [start, len(before) - same, _dumped(plain, middle)]}


def _applied(name: str, before: Any, delta: dict[str, Any]) -> Any:
    """The part after the change: the whole, or the list with its new items."""
    plain = _PLAIN[name]
    if "is" in delta:
        return plain.validate_python(delta["is"])
    if not isinstance(before, tuple):
        raise TypeError(f"{name} is not a list")
    if "splice" in delta:
        start, end, items = delta["splice"]
        if not 0 <= start <= end <= len(before):
            raise IndexError("a splice outside of its list")
        return (*before[:start], *plain.validate_python(items), *before[end:])
    changed = list(before)
    for index, item in zip(delta["differs"], plain.validate_python(list(delta["differs"].values())), strict=True):
        changed[int(index)] = item
    return tuple(changed)
