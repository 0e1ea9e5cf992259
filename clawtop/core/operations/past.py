"""Past operations from the journal, with what they changed."""

from __future__ import annotations

from typing import Any

from clawtop.core.model import Event
from clawtop.core.operations.edit import FieldChange, field_change
from clawtop.values import dataclass


@dataclass(frozen=True, slots=True)
class PastOperation:
    """An operation that the journal says was done and that could be taken back: what it changed, by owner.

    `unfinished`: it was started, but its end was never recorded; the store shows what happened.
    """

    id: str
    at: int
    title: str
    kind: str
    changes: tuple[tuple[str, tuple[FieldChange, ...]], ...]
    unfinished: bool = False


def past_operation(event: Event) -> PastOperation | None:
    """The finished operation that a journal event records, with its changes; None for anything else."""
    recorded: Any = event.data.get("undo")
    if not isinstance(recorded, dict):
        return None
    more = recorded.get("more", [])
    parts = [_past_part(raw) for raw in (recorded, *(more if isinstance(more, list) else [None]))]
    whole = tuple(part for part in parts if part is not None)
    if len(whole) != len(parts):
        return None
    id_, kind, title = (event.data.get(name) for name in ("id", "kind", "title"))
    if not (isinstance(id_, str) and isinstance(kind, str) and isinstance(title, str)):
        return None
    return PastOperation(id_, event.at, title, kind, whole)


def _past_part(raw: Any) -> tuple[str, tuple[FieldChange, ...]] | None:
    if not isinstance(raw, dict) or not isinstance(raw.get("changes"), list) or not isinstance(raw.get("agent"), str):
        return None
    changes = [field_change(item) for item in raw["changes"]]
    whole = tuple(change for change in changes if change is not None)
    return (raw["agent"], whole) if whole and len(whole) == len(changes) else None
