"""Snapshots as records of changes, and back: used by recordings, and by what a fleet's hosts send.

A record is JSON-ready: `{"at": ms, "set": {part: change}}`, the parts of a snapshot that changed since the record
before, or `{"at": ms, "event": {...}}`. A change is one of

    {"is": value}                       the whole value
    {"of": {field: change}}             the fields of an object that changed
    {"items": {index: change}}          the items of a list that changed
    {"splice": [start, end, values]}    a slice of a list, replaced

Recordings of format 1 have `{"differs": {index: value}}` for the third. Foreign text passes `masked` on its way out;
reading an invalid record raises one of `SENSELESS`.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from clawtop.core.model import Event, Snapshot
from clawtop.redaction import masked_words

_SNAPSHOT = TypeAdapter(Snapshot)
_EVENT = TypeAdapter(Event)
_ALWAYS = frozenset({"number", "taken_at"})
_ABSENT = object()

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
            name: _change(kind, getattr(before, name, _ABSENT), part)
            for name, kind in _parts().items()
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

    `value` is the snapshot so far, without events. `built` is about how many values were made until now: a list with
    one new item is a list made anew.
    """

    value: Snapshot | None = None
    built: int = 0

    def take(self, record: dict[str, Any]) -> Event | Snapshot:
        """Apply one record. Raises `SENSELESS`."""
        self.built += 1
        if "event" in record:
            return _EVENT.validate_python(record["event"])
        told, before, parts = record["set"].items(), self.value, _parts()
        if before is None:
            self._count(*(delta["is"] for _, delta in told))
            self.value = _SNAPSHOT.validate_python({name: delta["is"] for name, delta in told})
        else:
            fresh = {
                name: self._changed(parts[name], getattr(before, name), change)
                for name, change in told
                if name in parts
            }
            self.value = replace(before, **fresh)
        return self.value

    def _changed(self, kind: Any, before: Any, change: dict[str, Any]) -> Any:
        """The value after a change."""
        if "is" in change:
            self._count(change["is"])
            return _adapter(kind).validate_python(change["is"])
        if "of" in change:
            known = _fields(_object(kind))
            fresh = {
                name: self._changed(known[name], getattr(before, name), inner)
                for name, inner in change["of"].items()
                if name in known
            }
            return replace(before, **fresh)
        if not isinstance(before, tuple):
            raise TypeError("a change of a list where there is none")
        self.built += len(before)
        if "splice" in change:
            start, end, items = change["splice"]
            if not 0 <= start <= end <= len(before):
                raise IndexError("a splice outside of its list")
            self._count(items)
            return (*before[:start], *_adapter(kind).validate_python(items), *before[end:])
        item, changed = _item(kind), list(before)
        inner = change["items"] if "items" in change else {i: {"is": value} for i, value in change["differs"].items()}
        for index, each in inner.items():
            changed[int(index)] = self._changed(item, changed[int(index)], each)
        return tuple(changed)

    def _count(self, *values: Any) -> None:
        self.built += sum(len(value) for value in values if isinstance(value, list))


def _identity(event: Event) -> tuple[object, ...]:
    return (event.at, event.kind, event.source, event.text, event.run_id, event.lane)


def _dumped(adapter: TypeAdapter[Any], value: Any) -> Any:
    """`value` as JSON would hold it. Read-only views of mappings are not known to pydantic."""
    return adapter.dump_python(value, mode="json", fallback=dict, warnings=False)


def _change(kind: Any, before: Any, after: Any) -> dict[str, Any]:
    """The change from one value of a kind to another, as JSON."""
    if isinstance(before, tuple) and isinstance(after, tuple) and _item(kind) is not None:
        return _change_of_list(kind, before, after)
    if type(before) is type(after) is _object(kind):
        known = _fields(_object(kind)).items()
        pairs = ((name, inner, getattr(before, name), getattr(after, name)) for name, inner in known)
        return {"of": {name: _change(inner, was, now) for name, inner, was, now in pairs if was != now}}
    return {"is": _dumped(_adapter(kind), after)}


def _change_of_list(kind: Any, before: tuple[Any, ...], after: tuple[Any, ...]) -> dict[str, Any]:
    item = _item(kind)
    if len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return {"items": {str(index): _change(item, was, now) for index, (was, now) in pairs if was != now}}
    most = min(len(before), len(after))
    start = next((index for index in range(most) if before[index] != after[index]), most)
    most -= start
    same = next((index for index in range(most) if before[-1 - index] != after[-1 - index]), most)
    middle = after[start : len(after) - same]
    return {"splice": [start, len(before) - same, _dumped(_adapter(kind), middle)]}


# --- what a snapshot is made of ----------------------------------------------------------------------------------


@cache
def _parts() -> Mapping[str, Any]:
    return {name: kind for name, kind in _fields(Snapshot).items() if name != "events"}


@cache
def _fields(kind: type) -> Mapping[str, Any]:
    """The fields of a dataclass and their types."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _some(kind: Any) -> Any:
    """`X` of `X | None`."""
    if get_origin(kind) in {Union, types.UnionType}:
        kinds = [each for each in get_args(kind) if each is not types.NoneType]
        return kinds[0] if len(kinds) == 1 else kind
    return kind


@cache
def _object(kind: Any) -> Any:
    """The dataclass that `kind` is, or may be; None for anything else."""
    some = _some(kind)
    return some if isinstance(some, type) and is_dataclass(some) else None


@cache
def _item(kind: Any) -> Any:
    """`X` of `tuple[X, ...]`; None for anything else."""
    arguments = get_args(_some(kind))
    return arguments[0] if get_origin(_some(kind)) is tuple and arguments[1:] == (...,) else None
