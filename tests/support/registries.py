"""What a test needs to see of a registry that is kept in files."""

from __future__ import annotations

from clawtop.engine.prompt.records import FileRecords
from clawtop.engine.prompt.registry import PromptRegistry
from clawtop.store.own.holders import HolderRecords


def holder_records(registry: PromptRegistry) -> HolderRecords:
    """The records on disk that `registry` works on."""
    records = registry._records
    assert isinstance(records, FileRecords)
    return records._entered()
